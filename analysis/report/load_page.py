"""What Locust's page shows beyond its own figures: a picture of the runs started there."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from flask import Response
from locust.web import WebUI
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.report.distribution import draw_distribution
from analysis.report.style import BLUE, DPI, GREY, style
from analysis.study.load_run import LoadRun
from analysis.study.statistics import Floats, percentile

PATH = "/picture.png"
_SHOWN = 6
_BINS = 40


def add_picture(web_ui: WebUI, runs: Sequence[LoadRun]) -> None:
    """Serve the picture of the runs, and link it from the page, beside the CSV files.

    :param runs: it grows, and so does the last one.
    """
    link = {"href": f".{PATH}", "title": "Picture of the runs"}
    web_ui.template_args["extended_csv_files"] = [link]

    def picture() -> Response:
        shown = [run for run in runs if run.confirmed][-_SHOWN:]
        if not shown:
            text = "There is no picture yet: no write was confirmed.\n"
            return Response(text, status=404, mimetype="text/plain")
        png = BytesIO()
        with style():
            draw_runs(shown).savefig(png, format="png", dpi=DPI)
        return Response(png.getvalue(), mimetype="image/png", headers={"Cache-Control": "no-store"})

    assert web_ui.app is not None, "it is made with the page"
    view = web_ui.auth_required_if_enabled(picture)  # type: ignore[no-untyped-call]
    web_ui.app.add_url_rule(PATH, view_func=view)


def draw_runs(runs: Sequence[LoadRun]) -> Figure:
    """The distribution of some runs, and how fast the last one was.

    :param runs: at least one, each with a confirmed write.
    """
    last = runs[-1]
    latency_ms, answered_s = last.latency_ms, last.answered_s
    figure = Figure(figsize=(12, 5.4))
    shares, rate = figure.subplots(1, 2)
    figure.subplots_adjust(left=0.07, right=0.97, top=0.78, bottom=0.16, wspace=0.25)
    mean_ms, per_s = float(latency_ms.mean()), last.confirmed / answered_s[-1]
    title = f"{last.label}: {mean_ms:.1f} ms on average, {per_s:,.0f} writes/s"
    figure.text(0.02, 0.945, title, size=14.5, weight="bold", va="center")
    p50, p95, p99 = (percentile(latency_ms, percent) for percent in (50, 95, 99))
    line = (
        f"{last.confirmed:,} confirmed writes, {last.failed:,} failed ones, which are left "
        f"out; p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"
    )
    figure.text(0.02, 0.89, line, size=9.5, color=GREY, va="center")
    draw_distribution(shares, {run.label: run.latency_ms for run in runs})
    shares.set_title("How long a write takes")
    _draw_rate(rate, last.label, answered_s)
    return figure


def _draw_rate(axes: Axes, label: str, answered_s: Floats) -> None:
    counts, edges = np.histogram(answered_s, bins=_BINS, range=(0, answered_s[-1]))
    axes.stairs(counts / np.diff(edges), edges, color=BLUE, fill=True, alpha=0.85)
    axes.set_ylim(0)
    axes.set_xlim(0, edges[-1])
    axes.set_title(f"Writes confirmed in a second: {label}")
    axes.set_xlabel("seconds after the first write")
    axes.set_ylabel("writes per second")
