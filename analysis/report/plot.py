"""The plot of a study: write quorum against latency and throughput."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from analysis.report.wording import describe_delay, describe_load, describe_place
from analysis.study.results import StudyResult

# Okabe and Ito's palette: distinct for all common kinds of colour blindness. The lines differ in
# their markers as well, so that the plot also works in grey.
BLUE, GREEN, ORANGE, VERMILLION = "#0072B2", "#009E73", "#E69F00", "#D55E00"
GREY, DARK = "#5A5A5A", "#303030"

STYLE: dict[RcKeyType, Any] = {
    "svg.fonttype": "none",  # text stays text: it can be searched and selected
    "svg.hashsalt": "kvstore",  # the same figures give the same file
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#808080",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#E8E8E8",
    "axes.axisbelow": True,
    "xtick.bottom": False,
    "ytick.left": False,
}
_LABEL_GAP = 0.11  # smallest distance of two labels, as a share of the axis
_HEADROOM = 1.18  # how far the axis reaches above the highest value
DPI = 160


def draw_plot(result: StudyResult, png: Path, svg: Path) -> None:
    """Draw the plot and write it to both files.

    :param result: a study with at least one measured quorum.
    :param png: where the PNG goes.
    :param svg: where the SVG goes.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 6.6))
        grid = figure.add_gridspec(
            2, 2, width_ratios=(1.35, 1), wspace=0.24, hspace=0.5,
            left=0.07, right=0.90, top=0.79, bottom=0.19,
        )  # fmt: skip
        _draw_average(figure.add_subplot(grid[:, 0]), result)
        _draw_percentiles(figure.add_subplot(grid[0, 1]), result)
        _draw_throughput(figure.add_subplot(grid[1, 1]), result)
        figure.text(0.02, 0.95, _title(result), size=15, weight="bold", va="center")
        figure.text(0.02, 0.90, describe_load(result), size=10, color=GREY, va="center")
        caption = f"{_reading_guide(result)}\n{describe_place(result)}"
        figure.text(0.02, 0.02, caption, size=8.5, color=GREY, va="bottom", linespacing=1.6)
        figure.savefig(png, dpi=DPI)
        figure.savefig(svg, metadata={"Date": None})


def _draw_average(axes: Axes, result: StudyResult) -> None:
    quorums = [quorum for quorum, _ in result.curve]
    means = [summary.mean_ms for _, summary in result.curve]
    margins = [summary.mean_ci95_ms or 0.0 for _, summary in result.curve]
    reference = delay_reference(result)
    axes.set_ylim(
        0, _HEADROOM * max(mean + margin for mean, margin in zip(means, margins, strict=True))
    )
    if reference is not None:
        axes.plot(quorums, reference, color=GREY, lw=1.3, ls=(0, (4, 3)), zorder=1)
        axes.annotate(
            "rise by the simulated\ndelay alone", (quorums[-1], reference[-1]), xytext=(0, -9),
            textcoords="offset points", ha="center", va="top", color=GREY, size=9,
        )  # fmt: skip
    axes.errorbar(quorums, means, margins, color=BLUE, marker="o", ms=7, lw=2.6, capsize=5)
    for quorum, mean, margin in zip(quorums, means, margins, strict=True):
        axes.annotate(
            f"{mean:.2f}", (quorum, mean + margin), xytext=(0, 7), textcoords="offset points",
            ha="center", color=BLUE, weight="bold", size=11,
        )  # fmt: skip
    _finish(axes, quorums, "Average time of a write", "milliseconds")
    axes.set_xlabel("write quorum W: followers that must hold a write before it is answered")


def delay_reference(result: StudyResult) -> list[float] | None:
    """The average at the lowest quorum, plus what the simulated delay alone adds from there on.

    An otherwise idle leader waits for write quorum k as long as the k-th smallest of the followers'
    delays: on average low + (high - low) * k / (followers + 1), and 0 for k = 0. (David and
    Nagaraja, *Order Statistics*, section 2.)

    :return: milliseconds for each quorum of the curve; ``None`` when the delay is not known.
    """
    if result.settings.delay_ms is None:
        return None
    low, high = result.settings.delay_ms
    step = (high - low) / (result.settings.follower_count + 1)
    expected = [low + step * quorum if quorum > 0 else 0.0 for quorum, _ in result.curve]
    start = result.curve[0][1].mean_ms
    return [start + delay - expected[0] for delay in expected]


def _draw_percentiles(axes: Axes, result: StudyResult) -> None:
    quorums = [quorum for quorum, _ in result.curve]
    figures = [summary for _, summary in result.curve]
    series = (
        ("p99", [summary.p99_ms for summary in figures], VERMILLION, "^"),
        ("p95", [summary.p95_ms for summary in figures], ORANGE, "s"),
        ("p50", [summary.p50_ms for summary in figures], GREEN, "D"),
    )
    for _, values, colour, marker in series:
        axes.plot(quorums, values, color=colour, marker=marker, lw=1.8, ms=5)
    axes.set_ylim(0, _HEADROOM * max(summary.p99_ms for summary in figures))
    _label_ends(axes, quorums[-1], [(name, values[-1]) for name, values, _, _ in series])
    _finish(axes, quorums, "Percentiles of that time", "milliseconds")


def _draw_throughput(axes: Axes, result: StudyResult) -> None:
    quorums = [quorum for quorum, _ in result.curve]
    values = [summary.throughput_per_s for _, summary in result.curve]
    bars = axes.bar(quorums, values, color=BLUE, width=0.6)
    axes.bar_label(bars, labels=[f"{value:,.0f}" for value in values], padding=3, color=BLUE)
    axes.set_ylim(0, _HEADROOM * max(values))
    _finish(axes, quorums, "Throughput", "writes per second")
    axes.set_xlabel("write quorum W")


def _finish(axes: Axes, quorums: Sequence[int], title: str, unit: str) -> None:
    axes.set_ylabel(unit, color=GREY)
    axes.set_title(title, loc="left", weight="bold", size=11, pad=10)
    axes.set_xticks(quorums)
    axes.set_xlim(min(quorums) - 0.5, max(quorums) + 0.5)


def _label_ends(axes: Axes, x: float, labels: Sequence[tuple[str, float]]) -> None:
    """Write every line's name and last value beside its end, moved apart where they would touch."""
    top = axes.get_ylim()[1]
    heights = spread([value / top for _, value in labels], _LABEL_GAP)
    for (name, value), height in zip(labels, heights, strict=True):
        axes.annotate(
            f"{name}  {value:.1f}", (x, value), xytext=(1.0, height), textcoords="axes fraction",
            color=DARK, va="center", annotation_clip=False,
        )  # fmt: skip


def spread(heights: Sequence[float], gap: float) -> list[float]:
    """Move labels upwards, each as little as possible, until neighbours keep the gap.

    :param heights: where the labels would be best.
    :param gap: the smallest distance of two labels, in the same unit.
    :return: where they go, in the same order.
    """
    order = sorted(range(len(heights)), key=lambda index: heights[index])
    moved = list(heights)
    for below, above in pairwise(order):
        moved[above] = max(moved[above], moved[below] + gap)
    return moved


def _title(result: StudyResult) -> str:
    (first, low), (last, high) = result.curve[0], result.curve[-1]
    if first == last:
        return f"A write takes {low.mean_ms:.2f} ms on average at write quorum {first}"
    return (
        f"Waiting for {last} followers instead of {first}: a write takes "
        f"{high.mean_ms:.2f} ms on average instead of {low.mean_ms:.2f}"
    )


def _reading_guide(result: StudyResult) -> str:
    guide = "Bars on the averages: 95 % confidence."
    if delay_reference(result) is None:
        return guide
    return (
        f"{guide} Dashed: the first average plus only what theory says a longer wait for the "
        f"simulated delay ({describe_delay(result)}) adds."
    )
