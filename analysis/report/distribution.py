"""A distribution drawn as a whole: what share of all writes took no longer than a time."""

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from analysis.report.style import COLOURS, LINES
from analysis.study.statistics import Floats, percentile

_TICKS_MS = (0.5, 1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 70, 100, 200, 500, 1000)


def draw_distribution(axes: Axes, latency_ms: Mapping[str, Floats]) -> None:
    """Draw one line for each label.

    :param latency_ms: by label, every time in milliseconds, ascending.
    """
    for number, (label, times_ms) in enumerate(latency_ms.items()):
        shares = np.arange(1, len(times_ms) + 1) / len(times_ms)
        colour = COLOURS[number % len(COLOURS)]
        axes.step(
            times_ms, 100 * shares, where="post", color=colour, lw=1.8,
            ls=LINES[number % len(LINES)],
        )  # fmt: skip
        # Each at a height of its own, where neighbouring lines do not cover it.
        height = 0.25 + 0.5 * number / max(len(latency_ms) - 1, 1)
        axes.annotate(
            label, (times_ms[int(height * (len(shares) - 1))], 100 * height),
            xytext=(7, -3), textcoords="offset points", color=colour, weight="bold", size=9.5,
            bbox={"boxstyle": "square,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )  # fmt: skip
    axes.set_xscale("log")
    low = 0.9 * min(times_ms[0] for times_ms in latency_ms.values())
    high = 1.1 * max(percentile(times_ms, 99.9) for times_ms in latency_ms.values())
    axes.set_xlim(low, high)
    ticks = [tick for tick in _TICKS_MS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_ylim(0, 101)
    axes.set_xlabel("time of a write, milliseconds (logarithmic; up to the slowest in 1,000)")
    axes.set_ylabel("writes that took no longer, %")
