"""The report of a study: one content, as Markdown and as a page that needs no other file."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.report.findings import findings
from analysis.report.pictures import Picture
from analysis.report.tables import (
    REGIMES,
    Table,
    column_table,
    consistency_table,
    copies_table,
    faults_table,
    latency_table,
    load_table,
    parts_table,
    theory_table,
    wide_table,
)
from analysis.report.wording import describe_delay, describe_place
from analysis.study.results import Results, Study
from analysis.study.summary import figures_of

TITLE = "What a write quorum costs"
_UNITS = (
    "Times in milliseconds. *mean*: over all confirmed writes of a repeat, then over the repeats; "
    "*95 %*: its expanded percentile bootstrap interval over the repeats (below five repeats, "
    "Student's t). *p50, p95, p99*: "
    "nearest-rank percentiles of the exact times of all repeats together. Failed writes are "
    "counted, and are in no other figure."
)
_REGIMES = (
    "**Idle** and **loaded** answer different questions. *Idle*: one client writes at a low fixed "
    "rate, so that each write is over, at all followers, before the next begins; its latency is "
    "what a quorum costs. It counts from when the write was due, so that a slow answer cannot hide "
    "what it does to the next writes. *Loaded*: many clients write as fast as they are answered; "
    "their latency is the time in a queue, and says how many writes the cluster can do."
)
_CHECK = (
    "After each run `/admin/store` of every node is read until it shows the leader's index, and "
    "keys, values, versions, epoch and digest are compared. A node that does not answer, answers "
    "with an error, or never gets to that index fails the check. The leader's log must have grown "
    "by exactly the number of writes, its copy must hold every key written, and Locust's own "
    "totals must agree with its log of requests. Each run has its own keys, so that a later one "
    "cannot "
    "hide damage done in an earlier one."
)
_THEORY = (
    "An idle leader waits for the W-th of its followers as long as the W-th smallest of their "
    "delays, on average *low + (high - low) · W / (followers + 1)*: the law of order "
    "statistics. *Delays that happened*: the same of the waits that the leader really made "
    "before each request, for all W from all runs."
)
_WIDE = (
    "*Beyond the law*: end to end without the law. *Beyond its own*: without the W-th smallest of "
    "the delays that the same writes had. The writes are few and the delays wide, so the mean of "
    "those that were drawn is off the law by chance; the second figure holds nothing of that."
)
_PARTS = (
    "Of the follower whose acknowledgement confirms the write, from the leader's own record of "
    "its replication requests. *Client and leader* is the rest: the request's way to the "
    "leader, its commit, and the answer's way back."
)
_LITTLE = (
    "Clients that never pause are always waiting for an answer: throughput times mean latency "
    "must give their number (Little 1961). *Load, of a core*: what the busiest process of the "
    "load used; near 100 % it is the bottleneck itself."
)
_STALE = (
    "During a load 20 random keys a second are read from each follower. A read is *stale* if a "
    "newer version had been confirmed to a writer before it began. *Behind*: when the last "
    "write was answered. *Converged*: from then until the leader knew that no follower was "
    "behind."
)
_LOSS = (
    "How many followers are known to hold a write when it is confirmed and later, from the "
    "acknowledgements that the leader recorded. With the leader's machine gone, a takeover "
    "finds every write that one follower holds. *Most writes on no more than W*: so many "
    "confirmed writes are gone if, at the worst moment, those W followers are gone as well."
)
_FILES = (
    "`study.json`: settings, machine and order. `runs/*/`: `requests.csv` (exact time, key and "
    "version of every write), `exchanges.json` (the leader's replication requests), "
    "`reads.csv`, `run.json`, Locust's own CSV files and log. `python -m analysis plot FOLDER` "
    "makes pictures and report again from these. `summary.csv`:"
)
_LIMITS = (
    "Limits: on one machine, leader, "
    "followers and load compete for its processors, which an installation on several machines "
    "does not have, and which has a network instead."
)
_TEMPLATES = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A part of the report: texts, a table, pictures by name, more text."""

    title: str
    texts: Sequence[str] = ()
    table: Table | None = None
    pictures: Sequence[str] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Content:
    """All of the report."""

    title: str
    lead: str
    passed: bool
    problems: Sequence[str]
    findings: Sequence[str]
    sections: Sequence[Section] = field(default_factory=list)


def render_markdown(results: Results, pictures: Sequence[Picture], folder: Path) -> str:
    """The report in Markdown.

    :param pictures: referred to by their paths relative to the report.
    :param folder: where the report goes.
    """
    paths = {each.name: (each.png.relative_to(folder).as_posix(), each.text) for each in pictures}
    return _render("report.md.j2", _content(results), paths)


def render_html(results: Results, pictures: Sequence[Picture]) -> str:
    """The report as one HTML page that holds its pictures."""

    def inline(picture: Picture) -> str:
        return f"data:image/png;base64,{base64.b64encode(picture.png.read_bytes()).decode()}"

    return _render(
        "report.html.j2", _content(results), {p.name: (inline(p), p.text) for p in pictures}
    )


def render_failure(study: Study, reason: str) -> str:
    """The report of a study that could not begin, in Markdown."""
    nodes = study.settings.leader_url or "local nodes"
    return f"# {TITLE}\n\n**Check failed: nothing was measured** ({nodes}).\n\n```\n{reason}\n```\n"


def _render(template: str, content: Content, pictures: dict[str, tuple[str, str]]) -> str:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=template.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["inline"] = _inline
    return environment.get_template(template).render(content=content, pictures=pictures)


def _inline(text: str) -> Markup:
    """The few marks that the texts use, in HTML."""
    html = str(escape(text))
    for pattern, tag in ((r"\*\*(.+?)\*\*", "strong"), (r"\*(.+?)\*", "em"), (r"`(.+?)`", "code")):
        html = re.sub(pattern, rf"<{tag}>\1</{tag}>", html)
    return Markup(html)  # noqa: S704 - it was escaped before the tags were added


def _content(results: Results) -> Content:
    settings = results.study.settings
    return Content(
        title=TITLE,
        lead=(
            f"One leader, {settings.follower_count} followers; simulated delay "
            f"{describe_delay(results)}. {describe_place(results)}"
        ),
        passed=results.passed,
        problems=results.problems,
        findings=findings(results),
        sections=[each for each in _sections(results) if each.table is None or each.table.rows],
    )


def _sections(results: Results) -> list[Section]:
    idle, loaded = (latency_table(figures_of(results, r)) for r in ("idle", "loaded"))
    return [
        Section("Latency", (_REGIMES,), pictures=("quorum_latency",)),
        Section(REGIMES["idle"], (), idle, (), (_UNITS,)),
        Section(
            "Beside theory",
            (_THEORY,),
            theory_table(results),
        ),
        Section(REGIMES["idle_no_delay"], (), latency_table(figures_of(results, "idle_no_delay"))),
        Section(
            "Where the time goes",
            (_PARTS,),
            parts_table(results),
            ("parts",),
        ),
        Section(REGIMES["idle_wide"], (_WIDE,), wide_table(results)),
        Section("Distribution", (), None, ("distribution",)),
        Section(REGIMES["loaded"], (), loaded, ("throughput",)),
        Section(
            "Little's law, and what the load costs",
            (_LITTLE,),
            load_table(results),
        ),
        Section(
            "Consistency",
            (
                _CHECK,
                _STALE,
            ),
            consistency_table(results),
            ("consistency",),
        ),
        Section(
            "What can be lost with the leader's machine",
            (_LOSS,),
            copies_table(results),
        ),
        Section("One slow, or one stopped follower", (), faults_table(results), ("slow_follower",)),
        Section("How it was measured", _method(results)),
        Section("Settings, machine and versions", (), _settings(results)),
        Section(
            "Files",
            (_FILES,),
            column_table(),
        ),
    ]


def _method(results: Results) -> list[str]:
    settings = results.study.settings
    order = (
        f"{settings.repeats} repeats; in each, every regime and W in an order drawn from seed "
        f"{settings.seed}, so that what drifts is not taken for an effect of W; "
        f"{len(results.runs)} "
        f"of {len(results.study.order)} runs were made, after {settings.warm_up_writes:,} writes "
        "to warm up."
    )
    loads = (
        f"Idle runs: {settings.idle_writes} writes each, from one client of this process; those of "
        "a repeat take turns, ten writes at a time. Loaded "
        f"runs: {settings.writes:,} writes over {settings.keys:,} keys, from {settings.users} "
        "clients of Locust, each of which sends a write, reads the answer and sends the next"
        + (f", in {settings.workers} processes." if settings.workers else ".")
    )
    if settings.is_local:
        place = "The load and all nodes, which are durable, share the processors of one machine."
    else:
        place = "The load ran beside a cluster that was running already."
    idle = [run.result for run in results.runs if run.run.is_idle]
    priority = (
        "In the idle runs, leader and client had real-time priority, as if each had a processor of "
        "its own."
        if all(result.in_real_time for result in idle)
        else "Leader and client had no priority over the followers, with which they share them."
    )
    awake = (
        "The processors were kept from falling asleep in the idle runs (PM QoS), as is usual where "
        "latency is measured."
        if all(result.kept_awake for result in idle)
        else "The processors could fall asleep between the idle runs' writes, and took their time "
        "to wake up: what a write costs beside its delays is higher by that."
    )
    return [order, loads, place, *([priority, awake] if settings.is_local else []), _LIMITS]


def _settings(results: Results) -> Table:
    study, machine = results.study, results.study.machine
    settings = study.settings
    memory = "?" if machine.memory_gib is None else f"{machine.memory_gib:.1f} GiB"
    took = "it did not end" if study.duration_s is None else f"{study.duration_s:.0f} s"
    rows = {
        "nodes": settings.leader_url
        or f"local, 1 leader and {settings.follower_count} followers, durable (SQLite)",
        "simulated delay": describe_delay(results),
        "write quorums": ", ".join(map(str, settings.quorums)),
        "seed": str(settings.seed),
        "started": study.started_at,
        "took": took,
        "processor": f"{machine.processor}, {machine.cores} cores, {memory}",
        "load average before": f"{machine.load_average:.2f}",
        "system": machine.system,
        "Python": machine.python,
        "packages": ", ".join(f"{name} {each}" for name, each in machine.packages.items()),
        "commit": machine.commit or "?",
    }
    return Table(("what", "value"), list(rows.items()))
