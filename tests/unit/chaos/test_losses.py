"""How many directories may be lost at a time."""

from typing import Any

import pytest

from tests.chaos.losses import Losses

FOLLOWER = {"follower1": ("127.0.0.1:1", "new", 10)}


def status(
    state: str = "leading",
    node: str = "new",
    match_index: int = 10,
    commit_index: int = 10,
    follower_state: str = "streaming",
) -> dict[str, Any]:
    follower = {
        "address": "127.0.0.1:1",
        "node": node,
        "state": follower_state,
        "match_index": match_index,
    }
    return {"state": state, "commit_index": commit_index, "followers": [follower]}


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


def test_a_follower_counts_again_when_the_leader_says_that_it_holds_everything() -> None:
    losses = Losses(1, "leader", 3)
    losses.allow(["follower1"])
    assert losses.waiting() == {}, "it has not returned"
    losses.returned("follower1")
    losses.look(losses.waiting(), status(), FOLLOWER)
    assert losses.allow(["follower2"]) == ["follower2"]


@pytest.mark.parametrize(
    "shown",
    [
        status(state="catching up"),
        status(node="old"),
        status(match_index=9),
        status(commit_index=11, match_index=11),
        status(follower_state="connecting"),
    ],
    ids=[
        "the leader does not lead",
        "its former life is meant",
        "it lacks an entry",
        "it says so itself",
        "the leader does not know yet",
    ],
)
def test_until_then_it_does_not_count(shown: dict[str, Any]) -> None:
    losses = Losses(1, "leader", 3)
    losses.allow(["follower1"])
    losses.returned("follower1")
    losses.look(losses.waiting(), shown, FOLLOWER)
    assert losses.allow(["follower2"]) == []


def test_a_leader_counts_again_when_it_leads() -> None:
    losses = Losses(1, "leader", 3)
    losses.allow(["leader"])
    losses.returned("leader")
    losses.look(losses.waiting(), status(state="looking"), {})
    assert losses.allow(["follower1"]) == []
    losses.look(losses.waiting(), status(), {})
    assert losses.allow(["follower1"]) == ["follower1"]


def test_an_answer_from_before_the_next_loss_does_not_count() -> None:
    losses = Losses(1, "leader", 3)
    losses.allow(["leader"])
    losses.returned("leader")
    waiting = losses.waiting()
    losses.allow(["leader"])
    losses.returned("leader")
    losses.look(waiting, status(), {})
    assert losses.allow(["follower1"]) == []
