"""The results as tables: for the terminal, for the report, and as CSV."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from analysis.study.results import CpuCost, FollowerResult, QuorumResult, StudyResult

UNKNOWN = "?"

FIGURE_COLUMNS = (
    "W",
    "average",
    "± 95 %",
    "p50",
    "p95",
    "p99",
    "max",
    "writes/s",
    "lag",
    "converged",
    "copies",
)
FOLLOWER_COLUMNS = ("W", "follower", "lag", "converged", "compared at index", "copy")

# Column, unit and meaning of summary.csv.
SUMMARY_COLUMNS = (
    ("write_quorum", "followers", "followers that had to hold a write before it was answered"),
    ("writes", "writes", "confirmed writes, over which everything below is computed"),
    ("average_ms", "ms", "average time of a write, from sending it to having read its answer"),
    ("average_ci95_ms", "ms", "half the width of its 95 % confidence interval, by batch means"),
    ("p50_ms", "ms", "median: nearest-rank percentile of the exact times"),
    ("p95_ms", "ms", "95th percentile, likewise"),
    ("p99_ms", "ms", "99th percentile, likewise"),
    ("max_ms", "ms", "the slowest write"),
    ("duration_s", "s", "from sending the first write to having read the last answer"),
    ("throughput_per_s", "writes/s", "writes / duration_s"),
    ("max_lag_entries", "entries", "most any follower was behind at the last answer"),
    ("converged_after_s", "s", "from the last answer until the leader knew that none was behind"),
    ("copies_equal", "0 or 1", "1 = every follower's copy was compared and equal to the leader's"),
    ("problems", "problems", "number of problems found"),
    ("leader_cpu_s", "s", "processor time of the leader for each write; empty if not local"),
    ("follower_cpu_s", "s", "processor time of one follower for each write, on average"),
)


def text_table(result: StudyResult) -> str:
    """The figures of all quorums, with the units above, for a terminal."""
    rows = [FIGURE_COLUMNS, *(_figure_row(quorum) for quorum in result.quorums)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(FIGURE_COLUMNS))]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    ]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:]])


def figure_markdown(result: StudyResult) -> str:
    """The figures of all quorums as a Markdown table."""
    return markdown_table(FIGURE_COLUMNS, [_figure_row(quorum) for quorum in result.quorums])


def follower_markdown(result: StudyResult) -> str:
    """Every follower after every quorum as a Markdown table."""
    rows = [
        _follower_row(quorum.write_quorum, follower)
        for quorum in result.quorums
        for follower in quorum.followers
    ]
    return markdown_table(FOLLOWER_COLUMNS, rows)


def delay_markdown(result: StudyResult) -> str:
    """The simulated delay during each load as a Markdown table."""
    rows = []
    for quorum in result.quorums:
        figures = [UNKNOWN] * 3
        if quorum.delay is not None:
            delay = quorum.delay
            figures = [
                f"{delay.requests:,}",
                f"{delay.drawn_ms:.3f} ms",
                f"{delay.happened_ms:.3f} ms",
            ]
        rows.append([str(quorum.write_quorum), *figures])
    return markdown_table(("W", "replication requests", "mean drawn", "mean happened"), rows)


def cpu_markdown(result: StudyResult) -> str:
    """The processor time of a write at each quorum as a Markdown table."""
    rows = []
    for quorum in result.quorums:
        figures = [UNKNOWN] * 2
        if quorum.cpu is not None:
            figures = [f"{1e6 * s:,.0f} µs" for s in (quorum.cpu.leader_s, quorum.cpu.follower_s)]
        rows.append([str(quorum.write_quorum), *figures])
    return markdown_table(("W", "leader", "one follower"), rows)


def pair_markdown(pairs: Mapping[str, str]) -> str:
    """Names and values as a Markdown table."""
    return markdown_table(("", ""), list(pairs.items()))


def column_markdown() -> str:
    """What the columns of ``summary.csv`` mean, as a Markdown table."""
    rows = [(f"`{name}`", unit, meaning) for name, unit, meaning in SUMMARY_COLUMNS]
    return markdown_table(("column", "unit", "meaning"), rows)


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, with every ``|`` in its cells escaped."""

    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(columns), line(["---"] * len(columns)), *map(line, rows)])


def write_summary(result: StudyResult, path: Path) -> None:
    """Write one row for each quorum; an unknown value is left empty.

    :param result: the study.
    :param path: the CSV file, with the columns of :data:`SUMMARY_COLUMNS`.
    """
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(name for name, _, _ in SUMMARY_COLUMNS)
        rows.writerows(_summary_row(quorum) for quorum in result.quorums)


def _figure_row(quorum: QuorumResult) -> Sequence[str]:
    latency = quorum.latency
    figures = [UNKNOWN] * 7
    if latency is not None:
        ci95_ms = latency.mean_ci95_ms
        figures = [
            f"{latency.mean_ms:.2f}",
            UNKNOWN if ci95_ms is None else f"{ci95_ms:.2f}",
            *(f"{ms:.2f}" for ms in (latency.p50_ms, latency.p95_ms, latency.p99_ms)),
            f"{latency.max_ms:.1f}",
            f"{latency.throughput_per_s:,.0f}",
        ]
    lag = quorum.max_lag_entries
    return [
        str(quorum.write_quorum),
        *figures,
        UNKNOWN if lag is None else str(lag),
        _milliseconds(quorum.converged_after_s),
        "equal" if quorum.copies_equal else "NOT EQUAL",
    ]


def _follower_row(write_quorum: int, follower: FollowerResult) -> Sequence[str]:
    check = follower.check
    return [
        str(write_quorum),
        follower.name,
        UNKNOWN if follower.lag_entries is None else str(follower.lag_entries),
        _milliseconds(follower.caught_up_after_s),
        UNKNOWN if check.index is None else str(check.index),
        check.problem or "equal",
    ]


def _summary_row(quorum: QuorumResult) -> list[object]:
    latency = quorum.latency
    figures: list[object] = [None] * 9
    if latency is not None:
        figures = [
            latency.writes,
            _rounded(latency.mean_ms),
            _rounded(latency.mean_ci95_ms),
            latency.p50_ms,
            latency.p95_ms,
            latency.p99_ms,
            latency.max_ms,
            _rounded(latency.duration_s),
            _rounded(latency.throughput_per_s),
        ]
    return [
        quorum.write_quorum,
        *figures,
        quorum.max_lag_entries,
        _rounded(quorum.converged_after_s),
        int(quorum.copies_equal),
        len(quorum.problems),
        *_rounded_cpu(quorum.cpu),
    ]


def _rounded_cpu(cpu: CpuCost | None) -> tuple[float | None, float | None]:
    return (None, None) if cpu is None else (round(cpu.leader_s, 7), round(cpu.follower_s, 7))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _milliseconds(seconds: float | None) -> str:
    return UNKNOWN if seconds is None else f"{1000 * seconds:.1f} ms"
