from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.study.follower_lag import FollowerLag, LagError, observe_lag


def answers(*lags: dict[str, int]) -> Callable[[], dict[str, Any]]:
    """``/status`` with these lags, one after the other; the last one for ever."""
    left = list(lags)

    def fetch() -> dict[str, Any]:
        lag = left[0] if len(left) == 1 else left.pop(0)
        followers = [
            {"address": address, "lag_entries": entries} for address, entries in lag.items()
        ]
        return {"last_index": 9, "followers": followers}

    return fetch


def test_the_first_answer_is_the_lag_and_the_rest_the_catching_up() -> None:
    lag = observe_lag(answers({"a": 0, "b": 3}, {"a": 0, "b": 1}, {"a": 0, "b": 0}), 10.0)
    assert lag.lag_entries == {"a": 0, "b": 3}
    assert lag.last_index == 9
    early, late = lag.caught_up_after_s["a"], lag.caught_up_after_s["b"]
    assert early is not None
    assert late is not None
    assert lag.asked_after_s <= early < late


def test_a_follower_that_stays_behind_is_given_up_on() -> None:
    lag = observe_lag(answers({"a": 0, "b": 3}), 0.05)
    assert lag.caught_up_after_s["a"] is not None
    assert lag.caught_up_after_s["b"] is None


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    lag = FollowerLag(9, 0.001, {"a": 2}, {"a": None})
    lag.save(tmp_path / "lag.json")
    assert FollowerLag.load(tmp_path / "lag.json") == lag


@pytest.mark.parametrize("text", ["", "{}", "[]", "3", '{"last_index": 1}'])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "lag.json").write_text(text, encoding="utf-8")
    with pytest.raises(LagError):
        FollowerLag.load(tmp_path / "lag.json")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LagError):
        FollowerLag.load(tmp_path / "lag.json")


@pytest.mark.parametrize(
    "status",
    [
        {},
        {"last_index": 1},
        {"last_index": 1, "followers": [{"address": "a"}]},
        {"last_index": 1, "followers": [{"address": "a", "lag_entries": None}]},
        {"last_index": None, "followers": []},
    ],
)
def test_a_status_without_the_lag_is_refused(status: dict[str, Any]) -> None:
    with pytest.raises(LagError):
        observe_lag(lambda: status, 0.05)
