"""The figures of a study as tables: for the terminal, for the report, and as CSV."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.study.results import Results
from analysis.study.statistics import Interval
from analysis.study.summary import (
    QuorumFigures,
    beyond_delays,
    consistency_of,
    copies_of,
    figures_of,
    littles_law,
    parts_of,
    theory_of,
)

UNKNOWN = "?"

REGIMES = {
    "idle": "Idle: one client, at a low rate",
    "idle_no_delay": "Idle, without a simulated delay",
    "idle_wide": "Idle, with delays of 0 to 100 ms",
    "loaded": "Loaded: many clients at full speed",
    "slow_follower": "Loaded, with one follower's delay at 20 ms",
    "follower_down": "Loaded, with one follower stopped",
}

Cell = Callable[[QuorumFigures], object]


# Column, unit, meaning and value of summary.csv.
SUMMARY_COLUMNS: tuple[tuple[str, str, str, Cell], ...] = (
    ("write_quorum", "followers", "that had to hold a write before it was answered",
     lambda f: f.write_quorum),
    ("repeats", "runs", "over which the means and intervals are taken", lambda f: len(f.runs)),
    ("writes", "writes", "confirmed, in all repeats", lambda f: len(f.latency_ms)),
    ("failed", "writes", "not confirmed; they are in no other figure",
     lambda f: sum(f.failures.values())),
    ("mean_ms", "ms", "mean time from sending a write (idle: its being due) to its answer",
     lambda f: f.mean_ms.mean),
    ("mean_low_ms", "ms", "lower end of its 95 % interval over repeats",
     lambda f: f.mean_ms.low),
    ("mean_high_ms", "ms", "upper end", lambda f: f.mean_ms.high),
    ("p50_ms", "ms", "median: nearest-rank percentile of the exact times", lambda f: f.p50_ms),
    ("p95_ms", "ms", "95th percentile, likewise", lambda f: f.p95_ms),
    ("p99_ms", "ms", "99th percentile, likewise", lambda f: f.p99_ms),
    ("max_ms", "ms", "the slowest write", lambda f: float(f.latency_ms[-1])),
    ("per_s", "writes/s", "confirmed writes per second; empty if idle: its rate is given",
     lambda f: None if f.is_idle else f.per_s.mean),
    ("leader_cpu_us", "µs", "processor time of the leader for each write; empty if not local",
     lambda f: None if f.cpu is None else 1e6 * f.cpu.leader_s),
    ("follower_cpu_us", "µs", "processor time of one follower for each write, likewise",
     lambda f: None if f.cpu is None else 1e6 * f.cpu.follower_s),
    ("generator_share", "cores", "the greatest share of a core that the load took",
     lambda f: f.generator_share),
    ("lag_entries", "entries", "a follower was behind at the last answer, on average",
     lambda f: consistency_of(f).lag_entries),
    ("lag_keys", "keys", "without their newest value then, on average",
     lambda f: consistency_of(f).lag_keys),
    ("converged_ms", "ms", "from the last answer until no follower was behind",
     lambda f: c.mean if (c := consistency_of(f).converged_ms) else None),
    ("reads", "reads", "from followers during the load", lambda f: consistency_of(f).reads),
    ("stale_share", "1", "share of them that was older than what had been confirmed before",
     lambda f: s.mean if (s := consistency_of(f).stale_share) else None),
)  # fmt: skip


@dataclass(frozen=True)
class Table:
    """A table of texts."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    @property
    def markdown(self) -> str:
        """The table in Markdown."""
        return markdown_table(self.columns, self.rows)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, with every ``|`` in its cells escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def text_table(results: Results) -> str:
    """The figures of every regime, for a terminal."""
    parts = []
    for regime, title in REGIMES.items():
        table = latency_table(figures_of(results, regime))
        if not table.rows:
            continue
        lines = [table.columns, *table.rows]
        widths = [max(len(row[n]) for row in lines) for n in range(len(table.columns))]
        text = [
            "  ".join(c.rjust(width) for c, width in zip(row, widths, strict=True)) for row in lines
        ]
        parts.append("\n".join([title, text[0], "-" * len(text[0]), *text[1:]]))
    return "\n\n".join(parts)


def latency_table(figures: dict[int, QuorumFigures]) -> Table:
    """Latency by quorum, in milliseconds, and throughput unless the rate was given."""
    is_idle = any(each.is_idle for each in figures.values())
    rate = () if is_idle else ("writes/s",)
    columns = ("W", "mean ms", "95 %", "p50", "p95", "p99", "max", *rate, "failed")
    rows = [
        (
            str(w),
            f"{f.mean_ms.mean:.2f}",
            _ends(f.mean_ms, 2),
            *(f"{ms:.2f}" for ms in (f.p50_ms, f.p95_ms, f.p99_ms)),
            f"{f.latency_ms[-1]:.1f}",
            *(() if is_idle else (f"{f.per_s.mean:,.0f}",)),
            f"{sum(f.failures.values()):,}",
        )
        for w, f in sorted(figures.items())
    ]
    return Table(columns, rows)


def theory_table(results: Results) -> Table:
    """The law beside what happened, in milliseconds."""
    columns = ("W", "law", "delays that happened", "error", "without delay", "end to end")
    theory, idle = theory_of(results), figures_of(results, "idle")
    without = figures_of(results, "idle_no_delay")
    rows = []
    for w, law in sorted(theory.law.items()) if theory else ():
        happened = theory.delay_only.get(w) if theory else None
        rows.append(
            (
                str(w),
                f"{law:.3f}",
                _mean_with_ends(happened, 3),
                UNKNOWN if happened is None or not law else f"{happened.mean / law - 1:+.1%}",
                _mean_with_ends(without[w].mean_ms if w in without else None, 2),
                _mean_with_ends(idle[w].mean_ms if w in idle else None, 2),
            )
        )
    return Table(columns, rows)


def wide_table(results: Results) -> Table:
    """The same for delays of 0 to 100 ms."""
    theory, figures = theory_of(results, "idle_wide"), figures_of(results, "idle_wide")
    rows = [
        (
            str(w),
            f"{law:.2f}",
            _mean_with_ends(theory.delay_only.get(w), 2),
            _mean_with_ends(figures[w].mean_ms, 2),
            f"{figures[w].mean_ms.mean - law:+.2f}",
            _mean_with_ends(beyond_delays(figures[w]), 2),
        )
        for w, law in (sorted(theory.law.items()) if theory else ())
        if w in figures and theory is not None
    ]
    columns = ("W", "law", "delays that happened", "end to end", "beyond the law", "beyond its own")
    return Table(columns, rows)


def parts_table(results: Results) -> Table:
    """Where the time of an idle write goes, in milliseconds."""
    rows = []
    for w, each in sorted(figures_of(results, "idle").items()):
        parts = parts_of(each) if w > 0 else None
        if parts is not None:
            known = parts.queue_ms, parts.delay_ms, parts.exchange_ms
            rows.append(
                (
                    str(w),
                    f"{each.mean_ms.mean - sum(known):.2f}",
                    *(f"{ms:.2f}" for ms in known),
                    f"{each.mean_ms.mean:.2f}",
                )
            )
    columns = ("W", "client and leader", "the request before", "delay", "exchange", "in all")
    return Table(columns, rows)


def load_table(results: Results) -> Table:
    """Little's law and what the load cost."""
    clients = results.study.settings.users
    rows = []
    for w, each in sorted(figures_of(results, "loaded").items()):
        law = littles_law(each, clients)
        cost = each.cpu
        rows.append(
            (
                str(w),
                f"{each.per_s.mean:,.0f}",
                f"{each.mean_ms.mean:.2f}",
                f"{law.implied:.1f}",
                f"{law.share:.0%}",
                UNKNOWN if cost is None else f"{1e6 * cost.leader_s:,.0f}",
                UNKNOWN if cost is None else f"{1e6 * cost.follower_s:,.0f}",
                UNKNOWN if each.generator_share is None else f"{each.generator_share:.0%}",
            )
        )
    columns = (
        *("W", "writes/s", "mean ms", "their product", "of the clients"),
        *("leader µs/write", "follower µs/write", "load, of a core"),
    )
    return Table(columns, rows)


def consistency_table(results: Results) -> Table:
    """Followers beside the leader, during the load and after it."""
    rows = []
    for regime in ("loaded", "slow_follower", "follower_down"):
        for w, each in sorted(figures_of(results, regime).items()):
            found = consistency_of(each)
            share = found.stale_share
            equal = all(f.problem is None for run in each.runs for f in run.result.followers)
            rows.append(
                (
                    regime.replace("_", " "),
                    str(w),
                    _number(found.lag_entries, 1),
                    _number(found.lag_keys, 1),
                    _mean_with_ends(found.converged_ms, 1),
                    f"{found.reads:,}",
                    UNKNOWN if share is None else f"{share.mean:.1%}",
                    _number(found.versions_behind, 1),
                    _number(found.behind_ms, 1),
                    "equal" if equal else "NOT EQUAL",
                )
            )
    columns = (
        *("regime", "W", "entries behind", "keys behind", "converged after ms", "reads", "stale"),
        *("versions behind", "ms behind", "copies"),
    )
    return Table(columns, rows)


def copies_table(results: Results) -> Table:
    """How many followers hold a confirmed write."""
    rows = []
    for w, each in sorted(figures_of(results, "loaded").items()):
        copies = copies_of(each)
        if copies is not None:
            held = (f"{number:.2f}" for number in copies.held)
            rows.append((str(w), *held, f"{copies.alone_ms:.2f}", str(copies.most_at_risk)))
    columns = (
        *("W", "at once", "1 ms later", "10 ms later", "100 ms later"),
        *("ms on no more than W", "most writes on no more than W"),
    )
    return Table(columns, rows)


def faults_table(results: Results) -> Table:
    """Loads with a slow and with a stopped follower."""
    rows = []
    for regime in ("slow_follower", "follower_down"):
        for run in results.of(regime):
            latency = run.log.latency_ms
            rows.append(
                (
                    REGIMES[regime].partition("with ")[2],
                    str(run.run.write_quorum),
                    f"{len(latency):,}",
                    f"{latency.mean():.2f}" if len(latency) else UNKNOWN,
                    f"{run.throughput_per_s:,.0f}",
                    f"{run.log.failed:,}",
                    "; ".join(run.log.failures) or "-",
                )
            )
    return Table(("fault", "W", "confirmed", "mean ms", "writes/s", "failed", "why"), rows)


def column_table() -> Table:
    """What the columns of ``summary.csv`` mean."""
    rows = [(f"`{name}`", unit, meaning) for name, unit, meaning, _ in SUMMARY_COLUMNS]
    return Table(("column", "unit", "meaning"), [("`regime`", "", "of the run"), *rows])


def write_summary(results: Results, path: Path) -> None:
    """Write one row for each regime and quorum; an unknown value is left empty.

    :param path: the CSV file, with the columns of :data:`SUMMARY_COLUMNS` behind ``regime``.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["regime", *(name for name, *_ in SUMMARY_COLUMNS)])
        for regime in REGIMES:
            for _, figures in sorted(figures_of(results, regime).items()):
                values = (pick(figures) for *_, pick in SUMMARY_COLUMNS)
                rows.writerow([regime, *(_rounded(value) for value in values)])


def _rounded(value: object) -> object:
    return round(value, 4) if isinstance(value, float) else value


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"


def _ends(interval: Interval, digits: int) -> str:
    if interval.low is None or interval.high is None:
        return UNKNOWN
    return f"{interval.low:.{digits}f} to {interval.high:.{digits}f}"


def _mean_with_ends(interval: Interval | None, digits: int) -> str:
    if interval is None:
        return UNKNOWN
    mean = f"{interval.mean:.{digits}f}"
    return mean if interval.low is None else f"{mean} ({_ends(interval, digits)})"
