"""The benchmark as one picture: each case's rate as a share of the ceiling's."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.bench.cases import CASES
from analysis.bench.summary import Summary
from analysis.bench.systems import CEILING
from analysis.report.style import BLUE, DARK, DPI, GREY, ORANGE, VERMILLION, style

# Markers and the fill differ as well as the colours, so that the plot also works in grey.
_MARKS = {"plain design": (VERMILLION, "X", "white"), "read": (ORANGE, "D", "white")}
_OURS = (BLUE, "o", BLUE)
_ROW_IN = 0.27
_LABEL_ROOM = 0.3
_GAP = 0.8
"""Between two groups of rows, in rows."""


def draw_plot(summaries: Sequence[Summary], caption: str, path: Path) -> None:
    """Draw all cases but the ceiling's, with a panel for each number of connections.

    :param caption: what a reader has to know, below the panels.
    :param path: the PNG.
    """
    names = {each.case.name for each in summaries}
    rows = [case for case in CASES if case.name in names and case.system != CEILING]
    heights, height = {}, 0.0
    for above, case in zip([None, *rows], rows, strict=False):
        height += 1 if above is None or above.group == case.group else 1 + _GAP
        heights[case.name] = height
    connections = sorted({each.connections for each in summaries})
    figure_height = 2.4 + _ROW_IN * height
    with style(axes__grid__axis="x", axes__spines__left=False):
        figure = Figure(figsize=(13, figure_height))
        panels = figure.subplots(1, len(connections), sharey=True, sharex=True, squeeze=False)[0]
        for axes, number in zip(panels, connections, strict=True):
            _draw_panel(axes, [s for s in summaries if s.connections == number], heights)
        panels[0].set_yticks(list(heights.values()), list(heights))
        panels[0].set_ylim(height + 1, 0)
        widest = max(s.ratios["per_s"].high for s in summaries if "per_s" in s.ratios)
        panels[0].set_xlim(0, widest + _LABEL_ROOM * max(widest, 1.0))
        figure.subplots_adjust(
            left=0.215, right=0.985, wspace=0.08,
            top=1 - 1.1 / figure_height, bottom=1.05 / figure_height,
        )  # fmt: skip
        title = "Writes and reads a second, as a share of what a bare Flask view does"
        figure.text(0.01, 1 - 0.3 / figure_height, title, size=15, weight="bold", va="center")
        figure.text(
            0.01, 0.12 / figure_height, caption, size=8.5, color=GREY, va="bottom", linespacing=1.6
        )
        figure.savefig(path, dpi=DPI)


def _draw_panel(axes: Axes, summaries: Sequence[Summary], heights: dict[str, float]) -> None:
    number = summaries[0].connections
    ceilings = [
        f"{each.figures['per_s'].median:,.0f} {each.case.requests.method}/s"
        for each in summaries
        if each.case.system == CEILING
    ]
    axes.set_title(
        f"{number:,} connection{'s' if number > 1 else ''}\n", loc="left", size=11, weight="bold"
    )
    axes.text(
        0, 1.015, "1.0 = " + ", ".join(ceilings), transform=axes.transAxes, color=GREY, size=8
    )
    axes.axvline(1, color=DARK, lw=1.2, zorder=1)
    axes.tick_params(axis="y", length=0)
    for each in summaries:
        if each.case.name in heights and "per_s" in each.ratios:
            _draw_case(axes, each, heights[each.case.name])


def _draw_case(axes: Axes, summary: Summary, height: float) -> None:
    ratio, rate = summary.ratios["per_s"], summary.figures["per_s"]
    kind = next((kind for kind in _MARKS if summary.case.group.startswith(kind)), None)
    colour, marker, fill = _MARKS[kind] if kind else _OURS
    axes.plot([ratio.low, ratio.high], [height, height], color=colour, lw=2, clip_on=False)
    axes.plot(
        ratio.median, height, color=colour, marker=marker, mfc=fill, ms=7, mew=1.6, clip_on=False
    )
    axes.annotate(
        f"{rate.median:,.0f}/s", (ratio.high, height), xytext=(8, 0),
        textcoords="offset points", va="center", size=8, color=DARK,
        bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85},
    )  # fmt: skip
