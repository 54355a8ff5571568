"""What the leader says of its followers: their lag after a load."""

from pathlib import Path

import pytest

from analysis.nodes.errors import LagError
from analysis.study.follower_lag import FollowerLag, observe_lag
from kvstore.api_types import Status
from tests.support.statuses import follower_seen, node_status


def lags(**entries: int) -> Status:
    followers = [follower_seen(node, lag_entries=lag) for node, lag in entries.items()]
    return node_status(*followers)


def test_the_first_answer_is_the_lag_and_the_rest_the_catching_up() -> None:
    answers = iter([lags(a=0, b=3), lags(a=0, b=1), lags(a=0, b=0)])
    lag = observe_lag(lambda: next(answers), 10.0)
    assert lag.lag_entries == {"a:5000": 0, "b:5000": 3}
    assert lag.last_index == 9
    early, late = lag.caught_up_after_s.values()
    assert early is not None
    assert late is not None
    assert lag.asked_after_s <= early < late


def test_a_follower_that_stays_behind_is_given_up_on() -> None:
    lag = observe_lag(lambda: lags(a=0, b=3), 0.05)
    assert [seconds is None for seconds in lag.caught_up_after_s.values()] == [False, True]


@pytest.mark.parametrize("text", [None, "", '{"last_index": 1}'])
def test_a_missing_or_damaged_file_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "lag.json").write_text(text, encoding="utf-8")
    with pytest.raises(LagError):
        FollowerLag.load(tmp_path / "lag.json")
