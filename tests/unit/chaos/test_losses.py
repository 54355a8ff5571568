"""How many directories may be lost at a time."""

import pytest

from kvstore.api_types import Status
from tests.chaos.losses import Losses
from tests.support.statuses import follower_seen, node_status

FOLLOWER = {"follower1": ("new:5000", "new", 9)}
GOOD = node_status(follower_seen("new"))


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
        (GOOD, ["follower2"]),
        (node_status(follower_seen("new"), state="catching up"), []),
        (node_status(follower_seen("old", address="new:5000")), []),
        (node_status(follower_seen("new", match_index=8)), []),
        (node_status(follower_seen("new", match_index=10), commit_index=10), []),
        (node_status(), []),
        (node_status(follower_seen("new", state="connecting")), []),
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
def test_when_a_follower_counts_again(shown: Status, allowed: list[str]) -> None:
    losses = losses_of("follower1")
    losses.look(losses.waiting(), shown, FOLLOWER)
    assert losses.allow(["follower2"]) == allowed


def test_a_leader_counts_again_when_it_leads() -> None:
    losses = losses_of("leader")
    losses.look(losses.waiting(), node_status(state="looking"), {})
    assert losses.allow(["follower1"]) == []
    losses.look(losses.waiting(), GOOD, {})
    assert losses.allow(["follower1"]) == ["follower1"]


def test_an_answer_from_before_the_next_loss_does_not_count() -> None:
    losses = losses_of("leader")
    waiting = losses.waiting()
    losses.allow(["leader"])
    losses.returned("leader")
    losses.look(waiting, GOOD, {})
    assert losses.allow(["follower1"]) == []
