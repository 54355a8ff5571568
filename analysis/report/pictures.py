"""The pictures of a study."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.distribution import draw_distribution
from analysis.report.style import (
    BLUE,
    DARK,
    DASHED,
    DPI,
    GREEN,
    GREY,
    HEADROOM,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    label_ends,
    style,
)
from analysis.report.wording import describe_delay, describe_place
from analysis.study.results import Results
from analysis.study.statistics import Interval
from analysis.study.summary import (
    QuorumFigures,
    busy_prediction,
    consistency_of,
    figures_of,
    parts_of,
    theory_of,
)


class Picture(NamedTuple):
    """One picture, as PNG and as SVG.

    :param name: of its files, without the ending.
    :param text: what it shows, for those who do not see it.
    """

    name: str
    text: str
    png: Path
    svg: Path


def draw_pictures(results: Results, folder: Path) -> list[Picture]:
    """Draw what there are data for.

    :param folder: where the files go; made when it is missing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    drawn = []
    for name, (text, draw) in _PICTURES.items():
        with style():
            figure = draw(results)
            if figure is None:
                continue
            picture = Picture(name, text, folder / f"{name}.png", folder / f"{name}.svg")
            figure.savefig(picture.png, dpi=DPI)
            figure.savefig(picture.svg, metadata={"Date": None})
        drawn.append(picture)
    return drawn


# What a write costs


def _draw_latency(results: Results) -> Figure | None:
    idle, loaded = figures_of(results, "idle"), figures_of(results, "loaded")
    if not idle and not loaded:
        return None
    title = "What waiting for more followers costs"
    if len(idle) > 1:
        low, high = min(idle), max(idle)
        title = (
            f"One write at a time takes {idle[low].mean_ms.mean:.2f} ms at W={low}, "
            f"{idle[high].mean_ms.mean:.2f} ms at W={high}"
        )
    figure, panels = _figure(results, title, bool(idle) + bool(loaded))
    if idle:
        _draw_idle(panels.pop(0), results, idle)
    if loaded:
        _draw_loaded(panels.pop(0), results, loaded)
    return figure


def _draw_idle(axes: Axes, results: Results, idle: dict[int, QuorumFigures]) -> None:
    theory = theory_of(results)
    curves: list[_Curve] = [
        _Curve("end to end", {w: each.mean_ms for w, each in idle.items()}, BLUE, "o", bold=True)
    ]
    without = figures_of(results, "idle_no_delay")
    if without:
        means = {w: each.mean_ms for w, each in without.items()}
        curves.append(_Curve("without delay", means, GREEN, "s"))
    if theory is not None:
        if theory.delay_only:
            curves.append(_Curve("delay as it happened", theory.delay_only, ORANGE, "D"))
        law = {w: Interval(ms, None, None) for w, ms in theory.law.items()}
        curves.append(_Curve("delay by the law", law, GREY, "", dashed=True))
    _draw_curves(axes, curves, "Idle: one client, one write at a time", "mean time, milliseconds")


def _draw_loaded(axes: Axes, results: Results, loaded: dict[int, QuorumFigures]) -> None:
    curves = [_Curve("measured", {w: f.mean_ms for w, f in loaded.items()}, BLUE, "o", bold=True)]
    predicted = busy_prediction(loaded, results.study.settings.seed)
    if len(predicted) > 1:
        lowest = min(predicted)
        base = loaded[lowest].mean_ms.mean - predicted[lowest]
        curve = {w: Interval(base + ms, None, None) for w, ms in predicted.items()}
        curves.append(_Curve("busy streams\n(predicted)", curve, GREY, "", dashed=True))
    users = results.study.settings.users
    _draw_curves(axes, curves, f"Loaded: {users} clients at full speed", "mean time, milliseconds")


# The distribution


def _draw_distribution(results: Results) -> Figure | None:
    regimes = {
        "Idle: one write at a time": figures_of(results, "idle"),
        f"Loaded: {results.study.settings.users} clients": figures_of(results, "loaded"),
    }
    regimes = {title: figures for title, figures in regimes.items() if figures}
    if not regimes:
        return None
    title = "How long a write takes: the whole distribution"
    figure, panels = _figure(results, title, len(regimes), intervals=False)
    for axes, (title, figures) in zip(panels, regimes.items(), strict=True):
        draw_distribution(axes, {f"W={w}": figures[w].latency_ms for w in sorted(figures)})
        axes.set_title(title)
    return figure


# Throughput


def _draw_throughput(results: Results) -> Figure | None:
    loaded = figures_of(results, "loaded")
    if not loaded:
        return None
    costs = {w: each.cpu for w, each in loaded.items() if each.cpu is not None}
    low, high = min(loaded), max(loaded)
    title = (
        f"{results.study.settings.users} clients: {loaded[low].per_s.mean:,.0f} writes/s at W={low}"
    )
    if low != high:
        title += f", {loaded[high].per_s.mean:,.0f} at W={high}"
    figure, panels = _figure(results, title, 1 + bool(costs))
    rates = {w: each.per_s for w, each in loaded.items()}
    _draw_bars(panels[0], rates, "Throughput", "confirmed writes per second", "{:,.0f}")
    if costs:
        leader = {w: Interval(1e6 * cost.leader_s, None, None) for w, cost in costs.items()}
        follower = {w: Interval(1e6 * cost.follower_s, None, None) for w, cost in costs.items()}
        curves = [
            _Curve("leader", leader, BLUE, "o"),
            _Curve("one follower", follower, GREEN, "s"),
        ]
        _draw_curves(panels[1], curves, "Processor time of a write", "microseconds")
    return figure


# Consistency


def _draw_consistency(results: Results) -> Figure | None:
    found = {w: consistency_of(each) for w, each in figures_of(results, "loaded").items()}
    shares = {w: each.stale_share for w, each in found.items() if each.stale_share is not None}
    if not shares:
        return None
    percent = {w: share.times(100) for w, share in shares.items()}
    low, high = min(percent), max(percent)
    title = f"Reads from followers under load: {percent[low].mean:.1f} % are stale at W={low}"
    if low != high:
        title += f", {percent[high].mean:.1f} % at W={high}"
    if not any(share.mean for share in shares.values()):
        title = "Reads from followers under load: none was stale"
    converged = {w: each.converged_ms for w, each in found.items() if each.converged_ms is not None}
    figure, panels = _figure(results, title, 1 + bool(converged))
    _draw_bars(
        panels[0], percent, "Stale reads", "reads older than what was confirmed before, %", "{:.2f}"
    )
    if converged:
        _draw_bars(
            panels[1], converged, "Until all followers hold everything",
            "milliseconds after the last answer", "{:.1f}",
        )  # fmt: skip
    return figure


# Where the time goes


def _draw_parts(results: Results) -> Figure | None:
    idle = {w: each for w, each in figures_of(results, "idle").items() if w > 0}
    parts = {w: found for w, each in idle.items() if (found := parts_of(each)) is not None}
    if not parts:
        return None
    title = "Where the time of one write at a time goes"
    figure, (axes,) = _figure(results, title, 1, intervals=False)
    quorums = sorted(parts)
    series = {
        "client and leader": [
            idle[w].mean_ms.mean - (parts[w].queue_ms + parts[w].delay_ms + parts[w].exchange_ms)
            for w in quorums
        ],
        "the request before it": [parts[w].queue_ms for w in quorums],
        "simulated delay": [parts[w].delay_ms for w in quorums],
        "request to the follower,\nits commit, its answer": [parts[w].exchange_ms for w in quorums],
    }
    below = np.zeros(len(quorums))
    labels = []
    looks = ((SKY, ""), (PURPLE, ".."), (ORANGE, "//"), (BLUE, ""))
    for (name, values), (colour, hatch) in zip(series.items(), looks, strict=True):
        heights = np.maximum(values, 0)
        axes.bar(quorums, heights, 0.6, below, color=colour, hatch=hatch, edgecolor="white", lw=0.8)
        for w, height, bottom in zip(quorums, heights, below, strict=True):
            if height > 0.04 * max(each.mean_ms.mean for each in idle.values()):
                axes.text(
                    w, bottom + height / 2, f"{height:.2f}", ha="center", va="center", size=9,
                    color="white" if colour == BLUE else DARK,
                    bbox={"boxstyle": "square,pad=0.15", "fc": colour, "ec": "none"},
                )  # fmt: skip
        labels.append((name, float(below[-1] + heights[-1] / 2), DARK))
        below += heights
    axes.set_ylim(0, HEADROOM * float(below.max()))
    for w, top in zip(quorums, below, strict=True):
        axes.annotate(
            f"{top:.2f}", (w, top), xytext=(0, 4), textcoords="offset points", ha="center",
            weight="bold", color=DARK,
        )  # fmt: skip
    _finish(axes, quorums, "Of the follower whose acknowledgement confirms it", "milliseconds")
    label_ends(axes, quorums[-1], labels)
    return figure


# A slow follower, and one that is down


def _draw_faults(results: Results) -> Figure | None:
    kinds = {
        "healthy": figures_of(results, "loaded"),
        "one at 20 ms": figures_of(results, "slow_follower"),
        "one down": figures_of(results, "follower_down"),
    }
    if not kinds["one at 20 ms"] and not results.of("follower_down"):
        return None
    figure, panels = _figure(results, "With one slow, or one stopped follower", 2)
    looks = ((BLUE, "o"), (VERMILLION, "^"), (GREEN, "s"))
    curves = [
        _Curve(name, {w: each.mean_ms for w, each in figures.items()}, *look)
        for (name, figures), look in zip(kinds.items(), looks, strict=True)
        if figures
    ]
    _draw_curves(panels[0], curves, "Writes that were confirmed", "mean time, milliseconds")
    runs = [*results.of("slow_follower"), *results.of("follower_down")]
    failed: dict[str, dict[int, Interval]] = {}
    for run in runs:
        name = "one at 20 ms" if run.run.regime == "slow_follower" else "one down"
        made = len(run.log.latency_ms) + run.log.failed
        share = Interval(100 * run.log.failed / made, None, None)
        failed.setdefault(name, {})[run.run.write_quorum] = share
    looks_of = dict(zip(kinds, looks, strict=True))
    _draw_curves(
        panels[1],
        [_Curve(name, shares, *looks_of[name]) for name, shares in failed.items()],
        "Writes that were refused or stayed open",
        "%",
        top=105,
    )
    return figure


_PICTURES: dict[str, tuple[str, Callable[[Results], Figure | None]]] = {
    "quorum_latency": ("Write quorum against latency, idle and loaded, with theory", _draw_latency),
    "parts": ("Where the time of an idle write goes, by write quorum", _draw_parts),
    "distribution": ("Distribution of the latency by write quorum", _draw_distribution),
    "throughput": ("Throughput and processor time by write quorum", _draw_throughput),
    "consistency": ("Stale reads and convergence by write quorum", _draw_consistency),
    "slow_follower": ("Latency and failures with a slow or stopped follower", _draw_faults),
}


# What the pictures share


class _Curve(NamedTuple):
    """Values by write quorum, with the look of their line."""

    name: str
    values: dict[int, Interval]
    colour: str
    marker: str
    bold: bool = False
    dashed: bool = False


def _figure(
    results: Results, title: str, panels: int, *, intervals: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure with title and caption, and its panels side by side.

    :param intervals: whether it shows intervals, which the caption explains then.
    """
    figure = Figure(figsize=(12 if panels > 1 else 9, 5.8))
    axes = figure.subplots(1, panels, squeeze=False)[0]
    figure.subplots_adjust(
        left=0.07 if panels > 1 else 0.09, right=0.88 if panels > 1 else 0.78,
        top=0.83, bottom=0.21, wspace=0.5,
    )  # fmt: skip
    figure.text(0.02, 0.945, title, size=14.5, weight="bold", va="center")
    bars = " Thin bars: 95 % confidence, over repeats." if intervals else ""
    caption = (
        f"1 leader, {results.study.settings.follower_count} followers; simulated delay "
        f"{describe_delay(results)}.{bars}\n{describe_place(results)}"
    )
    figure.text(
        0.02,
        0.02,
        caption,
        size=8.5 if panels > 1 else 7.5,
        color=GREY,
        va="bottom",
        linespacing=1.6,
    )
    return figure, list(axes)


def _draw_curves(
    axes: Axes, curves: Sequence[_Curve], title: str, unit: str, top: float | None = None
) -> None:
    highest = max(each.high or each.mean for curve in curves for each in curve.values.values())
    axes.set_ylim(0, top or HEADROOM * highest)
    quorums = sorted({w for curve in curves for w in curve.values})
    for number, curve in enumerate(curves):
        points = sorted(curve.values)
        means = [curve.values[w].mean for w in points]
        # A little apart, so that no interval hides another.
        places = [w + 0.05 * number for w in points]
        axes.errorbar(
            places, means, _margins([curve.values[w] for w in points]), color=curve.colour,
            marker=curve.marker, ms=7 if curve.bold else 5, lw=2.6 if curve.bold else 1.6,
            ls=DASHED if curve.dashed else "-", capsize=4,
        )  # fmt: skip
        if curve.bold:
            for w in points:
                value = curve.values[w]
                axes.annotate(
                    f"{value.mean:.2f}", (w, value.high or value.mean),
                    xytext=(0, 6), textcoords="offset points", ha="center", color=curve.colour,
                    weight="bold",
                )  # fmt: skip
    _finish(axes, quorums, title, unit)
    ends = [(c.name, c.values[max(c.values)].mean, c.colour) for c in curves]
    label_ends(axes, quorums[-1], ends)


def _draw_bars(axes: Axes, values: dict[int, Interval], title: str, unit: str, number: str) -> None:
    quorums = sorted(values)
    heights = [values[w].mean for w in quorums]
    margins = _margins([values[w] for w in quorums])
    axes.bar(quorums, heights, 0.6, color=BLUE, yerr=margins, ecolor=DARK, capsize=4)
    tops = [values[w].high or values[w].mean for w in quorums]
    for w, height, top in zip(quorums, heights, tops, strict=True):
        axes.annotate(
            number.format(height), (w, top), xytext=(0, 4), textcoords="offset points",
            ha="center", color=BLUE, weight="bold",
        )  # fmt: skip
    axes.set_ylim(0, HEADROOM * max(tops) or 1)
    _finish(axes, quorums, title, unit)


def _margins(values: Sequence[Interval]) -> np.ndarray:
    """How far each interval reaches below and above its mean; NaN where it is not known."""
    return np.array(
        [
            [np.nan if each.low is None else each.mean - each.low for each in values],
            [np.nan if each.high is None else each.high - each.mean for each in values],
        ]
    ).clip(min=0)


def _finish(axes: Axes, quorums: Sequence[int], title: str, unit: str) -> None:
    axes.set_ylabel(unit)
    axes.set_title(title)
    axes.set_xlabel("write quorum W")
    axes.set_xticks(quorums)
    axes.set_xlim(min(quorums) - 0.5, max(quorums) + 0.5)
