import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from analysis.report.plot import delay_reference, draw_plot, spread
from analysis.study.results import StudyResult
from tests.unit.analysis.sample import MEANS_MS, SETTINGS, make_latency, make_quorum, make_study

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def draw(result: StudyResult, folder: Path) -> tuple[bytes, str]:
    draw_plot(result, folder / "p.png", folder / "p.svg")
    return (folder / "p.png").read_bytes(), (folder / "p.svg").read_text(encoding="utf-8")


def texts(svg: str) -> set[str]:
    return set(re.findall(r">([^<>]+)</text>", svg))


def test_both_files_are_written_with_titles_units_labels_and_settings(tmp_path: Path) -> None:
    png, svg = draw(make_study(), tmp_path)
    assert png.startswith(PNG_SIGNATURE)
    assert len(png) > 20_000
    shown = texts(svg)
    for text in (
        "Waiting for 5 followers instead of 1: a write takes 6.50 ms on average instead of 4.00",
        "write quorum W: followers that must hold a write before it is answered",
        "milliseconds",
        "writes per second",
        "4.00", "4.50", "5.00", "5.50", "6.50",
        "p50  6.2", "p95  13.0", "p99  19.5",
        "1,000",
    ):  # fmt: skip
        assert text in shown, text
    assert any("6 simultaneous clients" in text and "0.1 to 1 ms" in text for text in shown)
    assert any("seed 42" in text and "2 cores" in text for text in shown)


def test_the_same_figures_give_the_same_svg_and_others_another(tmp_path: Path) -> None:
    _, svg = draw(make_study(), tmp_path)
    assert draw(make_study(), tmp_path)[1] == svg
    assert draw(make_study(MEANS_MS | {5: 9.0}), tmp_path)[1] != svg


@pytest.mark.parametrize(
    "result",
    [
        make_study({3: 4.0}),
        make_study({0: 2.0, 5: 6.0}),
        make_study(ci95_ms=None),
        replace(make_study(), settings=replace(SETTINGS, delay_ms=None)),
        replace(make_study(), quorums=(make_quorum(1, None), make_quorum(2, make_latency(4.0)))),
    ],
)
def test_incomplete_studies_are_drawn_too(result: StudyResult, tmp_path: Path) -> None:
    assert draw(result, tmp_path)[0].startswith(PNG_SIGNATURE)


def test_the_reference_rises_by_the_order_statistics_of_the_delay() -> None:
    reference = delay_reference(make_study())
    assert reference == pytest.approx([4.0, 4.15, 4.30, 4.45, 4.60])
    draws = np.sort(np.random.default_rng(1).uniform(0.1, 1.0, size=(100_000, 5)))
    kth_smallest = draws.mean(axis=0)
    assert reference == pytest.approx(4.0 + kth_smallest - kth_smallest[0], abs=0.01)
    from_nobody = make_study({0: 2.0, 5: 6.0})
    assert delay_reference(from_nobody) == pytest.approx([2.0, 2.0 + kth_smallest[4]], abs=0.01)


def test_without_a_known_delay_there_is_no_reference() -> None:
    settings = replace(SETTINGS, delay_ms=None)
    assert delay_reference(replace(make_study(), settings=settings)) is None


def test_labels_keep_their_distance_and_their_order() -> None:
    assert spread([0.5, 0.1, 0.52, 0.9], 0.1) == pytest.approx([0.5, 0.1, 0.6, 0.9])
    moved = spread([0.3] * 4, 0.1)
    assert all(b - a == pytest.approx(0.1) for a, b in itertools.pairwise(moved))
