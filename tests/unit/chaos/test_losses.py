"""How many directories may be lost at a time."""

import pytest

from kvstore.api_types import Status
from tests.chaos.losses import Losses
from tests.support.statuses import follower_seen, node_status

FOLLOWER = {"follower1": ("new:5000", "new", 9)}
GOOD = node_status(follower_seen("new"))
NOT_YET = {
    "the leader does not lead": node_status(follower_seen("new"), state="catching up"),
    "its former life is meant": node_status(follower_seen("old", address="new:5000")),
    "it lacks an entry": node_status(follower_seen("new", match_index=8)),
    "it says so itself": node_status(follower_seen("new", match_index=10), commit_index=10),
    "the leader does not know it": node_status(),
    "the leader has not met it yet": node_status(follower_seen("new", state="connecting")),
}


def losses_of(name: str) -> Losses:
    """One of four nodes has lost its directory, and was started again; W is 1."""
    losses = Losses(1, 3)
    assert losses.allow([name]) == [name]
    assert losses.waiting() == {}, "it has not returned"
    losses.returned(name)
    return losses


def test_no_more_than_the_quorum_allows() -> None:
    losses = Losses(2, 3)
    assert losses.allow(["follower1", "leader", "follower2"]) == ["follower1", "leader"]
    assert losses.allow(["follower3"]) == []
    assert losses.allow(["leader"]) == ["leader"], "what is lost already can be lost again"


def test_one_follower_stays() -> None:
    losses = Losses(3, 3)
    assert losses.allow(["follower1", "follower2", "follower3"]) == ["follower1", "follower2"]
    assert losses.allow(["leader"]) == ["leader"]
    assert Losses(1, 1).allow(["follower1"]) == []


@pytest.mark.parametrize("shown", NOT_YET.values(), ids=NOT_YET)
def test_a_follower_counts_again_when_it_holds_everything(shown: Status) -> None:
    losses = losses_of("follower1")
    losses.look(losses.waiting(), shown, FOLLOWER)
    assert losses.allow(["follower2"]) == []
    losses.look(losses.waiting(), GOOD, FOLLOWER)
    assert losses.allow(["follower2"]) == ["follower2"]


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
    losses.look(waiting, GOOD, {})
    assert losses.allow(["follower1"]) == []
    losses.returned("leader")
    losses.look(waiting, GOOD, {})
    assert losses.allow(["follower1"]) == []
