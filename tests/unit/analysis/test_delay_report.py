from typing import Any

import pytest

from analysis.study.delay_report import DelayFigures, delay_between


def status(*delays: tuple[int, float | None, float | None]) -> dict[str, Any]:
    names = ("count", "mean_drawn_ms", "mean_happened_ms")
    return {"followers": [{"delay": dict(zip(names, delay, strict=True))} for delay in delays]}


def test_the_means_are_those_of_the_requests_between() -> None:
    before = status((100, 0.5, 1.0), (300, 0.7, 2.0))
    after = status((200, 0.6, 3.0), (400, 0.7, 2.5))
    # Follower 1: 100 requests, drawn 70 ms and happened 500 ms in all; follower 2: 100, 70, 400.
    figures = delay_between(before, after)
    assert figures is not None
    assert figures.requests == 200
    assert (figures.drawn_ms, figures.happened_ms) == pytest.approx((0.7, 4.5))


def test_before_the_first_request_the_means_may_be_unknown() -> None:
    assert delay_between(status((0, None, None)), status((4, 0.5, 0.6))) == DelayFigures(
        4, 0.5, 0.6
    )


@pytest.mark.parametrize(
    "after", [{}, {"followers": [{}]}, {"followers": None}, status((100, 0.5, 1.0))]
)
def test_without_requests_or_without_figures_there_is_nothing_to_tell(
    after: dict[str, Any],
) -> None:
    assert delay_between(status((100, 0.5, 1.0)), after) is None
