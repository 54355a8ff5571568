"""What the leader says of its followers: their lag after a load, and the delay during it."""

from pathlib import Path
from typing import Any

import pytest

from analysis.nodes.errors import LagError
from analysis.study.delay_report import DelayFigures, delay_between
from analysis.study.follower_lag import FollowerLag, observe_lag


def lags(**entries: int) -> dict[str, Any]:
    followers = [{"address": address, "lag_entries": lag} for address, lag in entries.items()]
    return {"last_index": 9, "followers": followers}


def test_the_first_answer_is_the_lag_and_the_rest_the_catching_up() -> None:
    answers = iter([lags(a=0, b=3), lags(a=0, b=1), lags(a=0, b=0)])
    lag = observe_lag(lambda: next(answers), 10.0)
    assert lag.lag_entries == {"a": 0, "b": 3}
    assert lag.last_index == 9
    early, late = lag.caught_up_after_s.values()
    assert early is not None
    assert late is not None
    assert lag.asked_after_s <= early < late


def test_a_follower_that_stays_behind_is_given_up_on() -> None:
    lag = observe_lag(lambda: lags(a=0, b=3), 0.05)
    assert [seconds is None for seconds in lag.caught_up_after_s.values()] == [False, True]


@pytest.mark.parametrize(
    "status", [{}, lags() | {"last_index": None}, {"last_index": 1, "followers": [{}]}]
)
def test_a_status_without_the_lag_is_refused(status: dict[str, Any]) -> None:
    with pytest.raises(LagError):
        observe_lag(lambda: status, 0.05)


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    lag = FollowerLag(9, 0.001, {"a": 2}, {"a": None})
    lag.save(tmp_path / "lag.json")
    assert FollowerLag.load(tmp_path / "lag.json") == lag


@pytest.mark.parametrize("text", [None, "", '{"last_index": 1}'])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "lag.json").write_text(text, encoding="utf-8")
    with pytest.raises(LagError):
        FollowerLag.load(tmp_path / "lag.json")


def delays(*figures: tuple[int, float | None, float | None]) -> dict[str, Any]:
    names = ("count", "mean_drawn_ms", "mean_happened_ms")
    return {"followers": [{"delay": dict(zip(names, each, strict=True))} for each in figures]}


def test_the_mean_delays_are_those_of_the_requests_between() -> None:
    before = delays((100, 0.5, 1.0), (300, 0.7, 2.0))
    # Follower 1: 100 requests, drawn 70 ms and happened 500 ms in all; follower 2: 100, 70, 400.
    figures = delay_between(before, delays((200, 0.6, 3.0), (400, 0.7, 2.5)))
    assert figures is not None
    assert figures.requests == 200
    assert (figures.drawn_ms, figures.happened_ms) == pytest.approx((0.7, 4.5))
    from_nothing = delay_between(delays((0, None, None)), delays((4, 0.5, 0.6)))
    assert from_nothing == DelayFigures(4, 0.5, 0.6)


@pytest.mark.parametrize("after", [{}, {"followers": [{}]}, {"followers": None}, delays((9, 1, 1))])
def test_without_requests_or_without_figures_there_is_no_delay(after: dict[str, Any]) -> None:
    assert delay_between(delays((9, 1, 1)), after) is None
