"""How many directories may be lost at a time."""

from typing import Any

import pytest

from tests.chaos.losses import Losses

FOLLOWER = {"follower1": ("127.0.0.1:1", "new", 10)}


def status(
    state: str = "leading",
    commit_index: int = 10,
    follower_state: str = "streaming",
    **changes: Any,
) -> dict[str, Any]:
    follower = {"address": "127.0.0.1:1", "node": "new", "match_index": 10}
    follower |= {"state": follower_state, **changes}
    return {"state": state, "commit_index": commit_index, "followers": [follower]}


def losses_of(name: str) -> Losses:
    """One of four nodes has lost its directory, and was started again; W is 1."""
    losses = Losses(1, "leader", 3)
    assert losses.allow([name]) == [name]
    assert losses.waiting() == {}, "it has not returned"
    losses.returned(name)
    return losses


def test_no_more_than_the_quorum_allows() -> None:
    losses = Losses(2, "leader", 3)
    assert losses.allow(["follower1", "leader", "follower2"]) == ["follower1", "leader"]
    assert losses.allow(["follower3"]) == []
    assert losses.allow(["leader"]) == ["leader"], "what is lost already can be lost again"


def test_one_follower_stays() -> None:
    losses = Losses(3, "leader", 3)
    assert losses.allow(["follower1", "follower2", "follower3"]) == ["follower1", "follower2"]
    assert losses.allow(["leader"]) == ["leader"]
    assert Losses(1, "leader", 1).allow(["follower1"]) == []


@pytest.mark.parametrize(
    ("shown", "allowed"),
    [
        (status(), ["follower2"]),
        (status("catching up"), []),
        (status(node="old"), []),
        (status(match_index=9), []),
        (status(commit_index=11, match_index=11), []),
        (status() | {"followers": []}, []),
        (status(follower_state="connecting"), []),
    ],
    ids=[
        "it holds everything",
        "the leader does not lead",
        "its former life is meant",
        "it lacks an entry",
        "it says so itself",
        "the leader does not know it",
        "the leader has not met it yet",
    ],
)
def test_when_a_follower_counts_again(shown: dict[str, Any], allowed: list[str]) -> None:
    losses = losses_of("follower1")
    losses.look(losses.waiting(), shown, FOLLOWER)
    assert losses.allow(["follower2"]) == allowed


def test_a_leader_counts_again_when_it_leads() -> None:
    losses = losses_of("leader")
    losses.look(losses.waiting(), status("looking"), {})
    assert losses.allow(["follower1"]) == []
    losses.look(losses.waiting(), status(), {})
    assert losses.allow(["follower1"]) == ["follower1"]


def test_an_answer_from_before_the_next_loss_does_not_count() -> None:
    losses = losses_of("leader")
    waiting = losses.waiting()
    losses.allow(["leader"])
    losses.returned("leader")
    losses.look(waiting, status(), {})
    assert losses.allow(["follower1"]) == []
