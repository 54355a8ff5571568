"""The benchmark's results: Markdown, and two CSV files."""

import csv
from collections.abc import Sequence
from pathlib import Path

from analysis.bench.findings import Finding, findings_markdown
from analysis.bench.measurement import Measurement
from analysis.bench.predictions import CASE, CORES, FITTED, GROUPS, Predictions
from analysis.bench.summary import FIGURES, Spread, Summary, figures
from analysis.bench.systems import FOLLOWERS, describe_scheduling
from analysis.report.tables import markdown_table
from analysis.study.machine import Machine

_SPEED_COLUMNS = ("case", "requests/s", "to ceiling", "p50 ms", "p99 ms", "errors")
_WORK_COLUMNS = (
    *("case", "batch", "CPU µs", "switches: waited", "preempted"),
    *("one follower: CPU µs", "waited", "preempted"),
)
_GUIDE = (
    "Medians over the rounds; in brackets the lowest and the highest. *to ceiling* and the "
    "values in square brackets: in relation to the bare Flask view with as many connections in "
    "the same round. Its p50 says little with several connections: plain gunicorn goes on with "
    "a connection as long as that has requests, so that some are served at once and others "
    "wait. *CPU* and *switches* are for each request, of the node that was asked; those of *one "
    "follower* for each write, in relation to what the ceiling takes for one. *waited*: how "
    "often a thread gave the processor up, and so had to be woken; *preempted*: how often one "
    "had to make way. They are not known of the plain design, whose threads end. *batch*: mean "
    "number of entries in a replication request. *errors*: answers of 400 and above, and failed "
    "or late connections, of all rounds. `summary.csv` has all of it, with the spread and the "
    "ratios, `measurements.csv` each load."
)


def render_report(
    summaries: Sequence[Summary],
    findings: Sequence[Finding],
    predictions: Predictions | None,
    *,
    run: str,
    plot: str,
) -> str:
    """Write the report.

    :param run: where and how it ran, as sentences.
    :param plot: path of the plot relative to the report.
    :return: Markdown.
    """
    sections = [
        "# The service beside a bare Flask view",
        run,
        f"![Share of the ceiling, by case and connections]({plot})",
        "## Targets",
        findings_markdown(findings),
        "## Figures",
        _GUIDE,
    ]
    for connections in sorted({each.connections for each in summaries}):
        chosen = [each for each in summaries if each.connections == connections]
        sections += [
            f"### {connections:,} connection{'s' if connections > 1 else ''}",
            markdown_table(_SPEED_COLUMNS, [_speed_row(each) for each in chosen]),
            markdown_table(_WORK_COLUMNS, [_work_row(each) for each in chosen]),
        ]
    if predictions is not None:
        sections += ["## What follows for other machines", *_render_model(predictions)]
    return "\n\n".join(sections) + "\n"


def describe_run(machine: Machine, settings: str) -> str:
    """Where and how it ran, as sentences.

    :param settings: what was asked for, as sentences.
    """
    packages = ", ".join(f"{name} {version}" for name, version in machine.packages.items())
    return (
        f"{settings} {machine.processor}, {machine.cores} cores, load average before "
        f"{machine.load_average:.2f}; {machine.system}; Python {machine.python}, {packages}; "
        f"commit {machine.commit or '?'}. Scheduling: {describe_scheduling()}."
    )


def write_summary(summaries: Sequence[Summary], path: Path) -> None:
    """Write one row for each case and number of connections.

    The columns are those that tell the case apart, and for each figure of :data:`FIGURES` the
    median, the lowest and the highest, then the same of its ratio to the ceiling; what is not known
    is left empty.
    """
    names = [name for name, _, _ in FIGURES]
    kinds = ("", "_ratio")
    head = ["case", "connections", "rounds", "errors"]
    parts = ("", "_low", "_high")
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(head + [f"{n}{k}{part}" for n in names for k in kinds for part in parts])
        for each in summaries:
            row: list[object] = [each.case.name, each.connections, each.rounds, each.errors]
            for name in names:
                for found in (each.figures.get(name), each.ratios.get(name)):
                    values = (found.median, found.low, found.high) if found else (None,) * 3
                    row += [None if value is None else round(value, 4) for value in values]
            rows.writerow(row)


def write_measurements(measurements: Sequence[Measurement], path: Path) -> None:
    """Write one row for each measurement, in the order in which they were made."""
    names = [name for name, _, _ in FIGURES]
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["round", "case", "connections", "answers", "errors", *names])
        for each in measurements:
            found = figures(each)
            values = [round(found[name], 4) if name in found else None for name in names]
            load = each.load
            rows.writerow(
                [each.round, each.case.name, each.connections, load.answers, load.errors, *values]
            )


def _speed_row(summary: Summary) -> list[str]:
    found, ratios = summary.figures, summary.ratios
    return [
        summary.case.name,
        _with_range(found.get("per_s"), 0),
        _with_range(ratios.get("per_s"), 2),
        _with_ratio(summary, "p50_ms", 2),
        _with_ratio(summary, "p99_ms", 2),
        str(summary.errors),
    ]


def _work_row(summary: Summary) -> list[str]:
    return [
        summary.case.name,
        _median(summary, "batch", 1),
        _with_ratio(summary, "cpu_us", 0),
        _median(summary, "waits", 2),
        _median(summary, "preemptions", 2),
        _with_ratio(summary, "follower_cpu_us", 0),
        _median(summary, "follower_waits", 2),
        _median(summary, "follower_preemptions", 2),
    ]


def _median(summary: Summary, name: str, digits: int) -> str:
    figure = summary.figures.get(name)
    return "" if figure is None else f"{figure.median:,.{digits}f}"


def _with_range(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return ""
    low, high = f"{spread.low:,.{digits}f}", f"{spread.high:,.{digits}f}"
    return f"{spread.median:,.{digits}f} ({low} to {high})"


def _with_ratio(summary: Summary, name: str, digits: int) -> str:
    figure, ratio = summary.figures.get(name), summary.ratios.get(name)
    if figure is None:
        return ""
    return f"{figure.median:,.{digits}f}" + (f" [{ratio.median:.2f}]" if ratio else "")


def _render_model(predictions: Predictions) -> list[str]:
    rounds, costs = predictions.rounds, predictions.costs
    fitted = " and ".join(str(number) for number in FITTED)
    checks = [
        [
            f"{check.connections:,}",
            f"{check.predicted:,.0f}",
            f"{check.measured:,.0f}",
            f"{check.error:+.0%}",
        ]
        for check in predictions.checks
    ]
    columns = ("cores", *(f"{n} leader{'s' if n > 1 else ''}" for n in GROUPS))
    cells = [
        [
            str(cores),
            *(f"{predictions.rate(1000, cores, groups):,.0f}" for groups in GROUPS),
        ]
        for cores in CORES
    ]
    fit = (
        f"The model of `analysis/bench/model.py` for *{CASE}*: a round takes "
        f"{1e3 * rounds.fixed_s:.2f} ms, and {1e6 * rounds.per_write_s:.0f} µs more for each write "
        f"that it carries, fitted to {fitted} connections. What it says about the others:"
    )
    use = (
        f"A write takes {1e6 * costs.leader_s:.0f} µs of the leader's processor time, "
        f"{1e6 * costs.followers_s:.0f} µs of its {FOLLOWERS} followers' together, and "
        f"{1e6 * costs.load_s:.0f} µs of wrk's. Everything on one machine, 1,000 connections, keys "
        "split over the leaders: writes/s as the model predicts them. One leader is one thread: "
        "cores help it until it keeps one of them busy."
    )
    check_columns = ("connections", "predicted writes/s", "measured", "error")
    return [fit, markdown_table(check_columns, checks), use, markdown_table(columns, cells)]
