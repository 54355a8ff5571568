"""The report of a study, in Markdown."""

from analysis.report.tables import (
    column_markdown,
    cpu_markdown,
    delay_markdown,
    figure_markdown,
    follower_markdown,
    pair_markdown,
)
from analysis.report.wording import describe_curve, describe_delay, describe_load, describe_place
from analysis.study.results import StudyResult
from analysis.study.settings import StudySettings

_UNITS = (
    "Times in milliseconds. *average*: from sending a write to having read its answer, with half "
    "the width of its 95 % confidence interval (from the averages of 20 consecutive batches). "
    "*p50, p95, p99*: nearest-rank percentiles of the exact time of every request, not Locust's "
    "rounded ones. *lag*: entries the last follower was behind when the last write was answered. "
    "*converged*: from then until the leader knew that no follower was behind."
)
_CPU = (
    "What the processes of a node used from the first write until the followers had caught up, "
    "divided by the number of writes; of running clusters it is not known. `make bench` measures "
    "it beside a bare Flask view."
)
_CHECK = (
    "Right after the last answer the load asks the leader how far each follower is behind, and "
    "keeps asking until none is. Then `/admin/store` of every node is read until it shows the "
    "leader's index, and keys, values, versions, epoch and digest are compared. A node that does "
    "not answer, answers with an error, or never gets to that index fails the check. The leader's "
    "log must have grown by exactly the number of writes, its copy must hold every key written, "
    "and Locust's own totals must agree with its log of requests. Each write quorum has its own "
    "keys, so that a later load cannot hide damage done in an earlier one."
)


def render_report(result: StudyResult, plot: str | None) -> str:
    """Write the report.

    :param result: the study.
    :param plot: path of the plot relative to the report; ``None`` when there is nothing to draw.
    :return: Markdown.
    """
    sections = [
        "# What a write quorum costs",
        f"{describe_load(result)}. {describe_place(result)}",
        _verdict(result),
        *([f"![Write quorum against latency and throughput]({plot})"] if plot else []),
        "## Latency and throughput",
        figure_markdown(result),
        _UNITS,
        describe_curve(result),
        "## The simulated delay",
        delay_markdown(result),
        _delay_note(result),
        "## Processor time of a write",
        cpu_markdown(result),
        _CPU,
        "## The copies after each load",
        _CHECK,
        follower_markdown(result),
        "## How it was measured",
        _method(result),
        "## Settings, machine and versions",
        _settings(result),
        "## Files",
        _files(result),
        "`summary.csv`:",
        column_markdown(),
    ]
    return "\n\n".join(sections) + "\n"


def render_failure(settings: StudySettings, reason: str) -> str:
    """The report of a study that could not begin.

    :param settings: what was asked for.
    :param reason: why nothing was measured.
    :return: Markdown.
    """
    nodes = settings.leader_url or "local nodes"
    return (
        f"# What a write quorum costs\n\n**Check failed: nothing was measured** ({nodes}).\n\n"
        f"```\n{reason}\n```\n"
    )


def _verdict(result: StudyResult) -> str:
    if result.passed:
        return (
            f"**Check passed.** After each of the {len(result.quorums)} loads every follower's "
            "copy was compared with the leader's at the same index: all are equal in keys, values "
            "and versions, and every write is there."
        )
    problems = "\n".join(f"- {problem}" for problem in result.problems)
    return f"**Check failed.**\n\n{problems}"


def _delay_note(result: StudyResult) -> str:
    return (
        f"Drawn uniformly from {describe_delay(result)}. Under load a wait that is over still "
        "waits for its turn in the leader's event loop, so that *happened* is more than *drawn*; "
        "on an idle cluster the two are equal. One request carries all entries that were waiting."
    )


def _method(result: StudyResult) -> str:
    settings = result.settings
    order = ", ".join(f"W={quorum}" for quorum in result.order)
    if settings.is_local:
        place = "The load and the six nodes share the processor of one machine."
    else:
        place = "The load ran beside a cluster that was running already."
    return (
        f"- One Locust process for each W, in an order drawn from the seed ({order}), so that what "
        "drifts while the study runs is not taken for an effect of W.\n"
        f"- Before each, another Locust process sends {settings.warm_up_writes:,} writes with the "
        "same W to other keys; they are not measured.\n"
        f"- {settings.users:,} clients, each of which sends a write, reads the answer and sends "
        "the next. More clients than the leader can serve at once measure the queue before it "
        "instead of the quorum; fewer take longer for the same number of writes.\n"
        f"- {place}"
    )


def _settings(result: StudyResult) -> str:
    settings, machine = result.settings, result.machine
    memory = "?" if machine.memory_gib is None else f"{machine.memory_gib:.1f} GiB"
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return pair_markdown(
        {
            "nodes": settings.leader_url
            or f"local, 1 leader and {settings.follower_count} followers, durable (SQLite)",
            "simulated delay": describe_delay(result),
            "writes, keys, clients": f"{settings.writes:,}, {settings.keys:,}, {settings.users:,}",
            "warm-up writes": f"{settings.warm_up_writes:,}",
            "seed": str(settings.seed),
            "started": result.started_at,
            "took": f"{result.duration_s:.0f} s",
            "processor": f"{machine.processor}, {machine.cores} cores, {memory}",
            "load average before": f"{machine.load_average:.2f}",
            "system": machine.system,
            "Python": machine.python,
            "packages": packages,
            "commit": machine.commit or "?",
        }
    )


def _files(result: StudyResult) -> str:
    folders = ", ".join(f"`quorum_{quorum.write_quorum}/`" for quorum in result.quorums)
    return (
        f"{folders}: `requests.csv` (exact time of every request), `locust_*.csv` (Locust's own "
        "totals), `lag.json` (the followers' lag at the last answer), `locust.log`."
    )
