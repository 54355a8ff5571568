"""What all pictures have in common: colours, the style file, labels at the ends of lines."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes

# Okabe and Ito's palette: distinct for all common kinds of colour blindness. The lines differ in
# their markers as well, so that the pictures also work in grey.
BLUE, GREEN, ORANGE, VERMILLION = "#0072B2", "#009E73", "#E69F00", "#D55E00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
GREY, DARK = "#5A5A5A", "#303030"
COLOURS = (BLUE, GREEN, ORANGE, VERMILLION, PURPLE, SKY)
LINES: tuple[Any, ...] = (
    "-", (0, (6, 1.5)), (0, (3, 1.5)), (0, (1.5, 1.5)), (0, (6, 1.5, 1.5, 1.5)), (0, (1, 3)),
)  # fmt: skip
"""What tells the lines of one panel apart, in this order."""
DPI = 160
HEADROOM = 1.18
"""How far an axis reaches above its highest value."""
DASHED = (0, (4, 3))

_STYLE_FILE = Path(__file__).with_name("kvstore.mplstyle")
_LABEL_GAP = 0.075  # smallest distance of two labels, as a share of the axis


def style(**changes: Any) -> AbstractContextManager[None]:
    """The look of all pictures, while this context lasts.

    :param changes: matplotlib's settings, with ``__`` for ``.``.
    """
    own: dict[Any, Any] = {name.replace("__", "."): value for name, value in changes.items()}
    return mpl.rc_context(own, fname=_STYLE_FILE)


def label_ends(axes: Axes, x: float, labels: Sequence[tuple[str, float, str]]) -> None:
    """Write a text beside the end of each line, moved apart where two would touch.

    :param x: where the lines end.
    :param labels: text, height of the line's end, colour.
    """
    bottom, top = axes.get_ylim()
    shares = [(value - bottom) / (top - bottom) for _, value, _ in labels]
    heights = spread(shares, _LABEL_GAP)
    for (text, value, colour), height in zip(labels, heights, strict=True):
        axes.annotate(
            text, (x, value), xytext=(1.01, height), textcoords="axes fraction",
            color=colour, va="center", size=9.5, annotation_clip=False,
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
