"""How a leader's reigns begin and end, and who counts in them."""

import pytest

from kvstore.core.entries import Members, ReignId
from kvstore.core.errors import NothingToForce, NotReady, OutcomeUnknown, WriteRefused
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Claim, Hello, Message
from kvstore.core.node_state import NodeState
from kvstore.core.progress import Stage
from kvstore.core.records import Promise, SavePromise
from tests.support.replication import (
    CLUSTER,
    NOW_MS,
    R1,
    URL,
    claimed_by_another,
    entries,
    exchange,
    handle,
    kept_state,
    make_cluster,
    make_follower,
    make_leader,
    make_state,
    next_message,
    reign,
    save,
    talk,
    write,
    write_durably,
)


def led(of: ReignId = R1, members: Members | None = None, last: int = 1) -> NodeState:
    """A directory that says that its node led."""
    promise = Promise(CLUSTER, of, URL, members or {}, is_own=True, has_led=True)
    return make_state("l", *entries(last, of=reign(of.epoch)), promise=promise)


# How a reign begins


@pytest.mark.parametrize(
    ("before", "restart"), [(0, NOW_MS), (NOW_MS, NOW_MS + 1), (NOW_MS + 4, NOW_MS + 5)]
)
def test_a_restart_keeps_the_epoch_and_is_later(before: int, restart: int) -> None:
    held = reign(3, before)
    leader = make_leader(led(held)).reign
    assert leader is not None
    assert (leader.epoch, leader.restart, leader.takeover_id) == (3, restart, held.takeover_id)
    assert leader.id != held.id
    assert leader.is_later_than(held)


def test_a_reign_is_saved_before_anybody_hears_of_it() -> None:
    leader = make_leader(led(), durable=False)
    assert leader.state is LeaderState.STARTING
    message = next_message(leader, "f0", Hello)
    assert message.of_reign is None
    assert leader.take_unsaved() == [SavePromise(leader.promise)]


def test_a_reign_begins_with_an_entry_that_names_the_followers() -> None:
    for leader in (
        make_cluster()[0],
        make_leader(led(members={"f0": "n0", "f1": "n1", "gone": "n2"})),
    ):
        first = leader.log.replication_log[leader.log.first_index]
        assert (first.operation, first.begins) == ("noop", leader.reign)
        assert first.members == {"f0": "n0", "f1": "n1"}


def test_nothing_is_confirmed_and_shown_before_the_first_entry_is() -> None:
    leader, followers = make_cluster()
    index = leader.propose(write(request="once"), 0.0)
    save(leader)
    talk(leader, followers)
    again = make_leader(kept_state(leader))
    for _ in ("hello", "claim"):
        exchange(again, "f0", followers["f0"])
    progress = again.followers["f0"]
    assert (progress.stage, progress.match_index) == (Stage.STREAM, 0), "neither confirms anything"
    assert again.state is LeaderState.CATCHING_UP
    assert again.waiting_for == ["f0", "f1"]
    with pytest.raises(NotReady):
        again.check_readable()
    assert again.propose(write(request="once"), 0.0) == index
    with pytest.raises(OutcomeUnknown):
        again.propose(write(request="perhaps"), 0.0)
    again.propose(write(), 0.0)
    save(again)
    assert (again.log.commit_index, again.log.map.position.index) == (0, 2)
    exchange(again, "f0", followers["f0"])
    assert again.ready, "one of two holds the first entry, and W is 1"
    assert again.log.commit_index == 4


def test_a_restarted_leader_claims_each_follower_in_the_reign_it_is_found_in() -> None:
    leader, followers = make_cluster()
    again = make_leader(kept_state(leader))
    exchange(again, "f0", followers["f0"])
    message = next_message(again, "f0", Claim)
    assert leader.reign is not None
    assert (message.node_id, message.found_reign_id) == ("n0", leader.reign.id)
    assert message.members == {"f0": "n0", "f1": "n1"}
    talk(again, followers)
    assert followers["f0"].promise.reign == followers["f1"].promise.reign == again.reign


# A takeover


def test_a_forced_takeover_goes_on_without_a_named_node_and_asks_for_it_no_more() -> None:
    _, followers = make_cluster()
    taker = make_leader(followers=1)
    exchange(taker, "f0", followers["f0"])
    next_message(taker, "f1", Hello)
    taker.lost("f1", "gone")
    assert taker.force_start() == ["f1"]
    save(taker)
    talk(taker, {"f0": followers["f0"]})
    assert taker.ready
    assert list(taker.followers) == ["f0"]


def test_a_state_is_taken_over_even_where_the_reign_ends_before_it_is_durable() -> None:
    _, followers = make_cluster(writes=1)
    taker = make_leader()
    while taker.state_text != "taking over":
        for address, other in followers.items():
            exchange(taker, address, other)
    while taker.state_text != "starting":
        message = next_message(taker, "f0", Message)
        taker.receive("f0", message, handle(followers["f0"], message), 0.0)
    exchange(taker, "f1", claimed_by_another(taker, reign(9), "n1"), 1.0)
    assert taker.state is LeaderState.DEPOSED
    assert taker.log.map.get("k") is not None, "memory is what the disk is"


# Followers that the leader does not know


def test_an_unknown_follower_waits_until_a_known_one_has_vouched() -> None:
    leader, followers = make_cluster(writes=1)
    followers["f0"] = make_follower("new")
    leader.lost("f0", "gone")
    exchange(leader, "f0", followers["f0"])
    assert (leader.followers["f0"].stage, leader.problem) == (Stage.UNKNOWN, None)
    naming = leader.log.replication_log[3]
    assert naming.members == {"f0": "new", "f1": "n1"}
    assert leader.promise.members == {"f0": "n0", "f1": "n1"}
    assert leader.next_message("f0", 0.4) is None
    assert isinstance(leader.next_message("f0", 0.6), Hello), "it is greeted only"
    assert followers["f0"].promise.reign is None
    exchange(leader, "f1", followers["f1"])
    assert leader.promise.members == naming.members
    talk(leader, followers)
    assert followers["f0"].log.last == leader.log.replication_log.last
    assert leader.replicas(3) == 2


def test_an_address_where_nodes_come_and_go_is_named_now_and_then() -> None:
    leader, _ = make_cluster()
    before = leader.log.last_index
    for number, now_s in enumerate([0.0, 0.1, 0.2, 1.0]):
        leader.lost("f0", "gone")
        exchange(leader, "f0", make_follower(f"new{number}"), now_s)
        assert leader.followers["f0"].stage is Stage.UNKNOWN
    assert leader.log.last_index == before + 2
    assert leader.log.replication_log[leader.log.last_index].members == {"f0": "new3", "f1": "n1"}


def test_a_known_follower_vouches_with_what_was_sent_after_the_meeting() -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    earlier = next_message(leader, "f1", Message)
    leader.lost("f0", "gone")
    exchange(leader, "f0", make_follower("new"))
    leader.receive("f1", earlier, handle(followers["f1"], earlier), 0.0)
    assert leader.promise.members == {"f0": "n0", "f1": "n1"}
    exchange(leader, "f1", followers["f1"])
    assert leader.promise.members == {"f0": "new", "f1": "n1"}


def test_a_follower_that_is_back_at_its_address_is_named_again() -> None:
    leader, followers = make_cluster(naming_pause_s=0.0)
    leader.lost("f0", "gone")
    exchange(leader, "f0", make_follower("new"))
    assert leader.log.replication_log.members == {"f0": "new", "f1": "n1"}
    leader.lost("f0", "gone")
    talk(leader, followers)
    assert leader.promise.members == {"f0": "n0", "f1": "n1"}
    assert followers["f1"].log.members == {"f0": "n0", "f1": "n1"}


@pytest.mark.parametrize("count", [1, 2])
def test_where_nobody_known_answers_an_operator_decides(count: int) -> None:
    leader, followers = make_cluster(count, writes=1)
    for address in followers:
        leader.lost(address, "gone")
    followers["f0"] = make_follower("new")
    exchange(leader, "f0", followers["f0"])
    assert "f0: unknown to this leader, and no follower that it knows answers" in (
        leader.problem or ""
    )
    assert not leader.ready
    followers = {"f0": followers["f0"]}
    assert leader.force_start() == ["f1"][: count - 1]
    talk(leader, followers)
    assert leader.ready
    assert followers["f0"].map.get("k") is not None, "its own state is a candidate"
    assert (leader.promise.epoch >= 1000) == (count > 1)


def test_the_first_follower_ever_counts_at_once_and_vouches_for_the_next() -> None:
    leader = make_leader(led())
    followers = {"f0": make_follower("n0"), "f1": make_follower("n1")}
    exchange(leader, "f0", followers["f0"])
    assert leader.promise.members == {"f0": "n0"}
    exchange(leader, "f0", followers["f0"])
    assert isinstance(leader.next_message("f0", 0.0), Claim)
    exchange(leader, "f1", followers["f1"])
    assert leader.followers["f1"].stage is Stage.UNKNOWN
    talk(leader, followers)
    assert leader.promise.members == {"f0": "n0", "f1": "n1"}


def test_followers_that_changed_places_count_from_the_entry_that_names_them() -> None:
    leader, followers = make_cluster(2, 2)
    for address in followers:
        leader.lost(address, "gone")
    moved = followers["f1"]
    for now_s in (0.0, 1.0):  # the entry that names it is not durable yet
        message = next_message(leader, "f0", Message, now_s)
        leader.receive("f0", message, handle(moved, message), now_s)
    assert leader.followers["f0"].match_index == 1
    assert leader.replicas(1) == 0
    save(leader)
    exchange(leader, "f0", moved)
    assert leader.replicas(1) == 1
    followers = {"f0": moved, "f1": followers["f0"]}
    talk(leader, followers)
    index = write_durably(leader)
    talk(leader, followers)
    assert leader.log.commit_index == index
    assert leader.promise.members == {"f0": "n1", "f1": "n0"}


def test_a_follower_of_another_cluster_that_holds_nothing_is_taken_in() -> None:
    other = make_follower("n0", promise=Promise("other", R1, URL))
    talk(make_leader(led(reign(2), {"f0": "n0"}), 1), {"f0": other})
    assert other.promise.cluster_id == CLUSTER


# An old copy


@pytest.mark.parametrize("leads", [False, True])
def test_an_old_copy_is_no_leader_from_its_own_state(leads: bool) -> None:
    leader, followers = make_cluster()
    old = kept_state(leader)
    write_durably(leader, "kept")
    exchange(leader, "f1", followers["f1"])
    again = make_leader(old)
    if leads:
        talk(again, {"f0": followers["f0"]})
        assert again.ready
    exchange(again, "f1", followers["f1"])
    assert again.state is LeaderState.TAKEOVER
    assert not again.promise.has_led, "also after a restart"
    talk(again, followers)
    assert again.ready
    assert again.promise.epoch == leader.promise.epoch + 1
    assert again.log.map.get("kept") is not None
    assert followers["f0"].map.digest() == followers["f1"].map.digest() == again.log.map.digest()


# How a reign ends


@pytest.mark.parametrize(
    "of", [reign(9), reign(1, takeover="t"), reign(1, 9, "t")], ids=["later", "twin", "its restart"]
)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_later_reign_or_a_twin_deposes_for_good(of: ReignId, restarted: bool) -> None:
    leader, _ = make_cluster()
    if restarted:
        leader = make_leader(kept_state(leader))
    other = claimed_by_another(leader, of, "n0")
    leader.lost("f0", "gone")
    exchange(leader, "f0", other)
    assert leader.state is LeaderState.DEPOSED
    assert f"deposed by epoch {of.epoch}, met at f0" in (leader.problem or "")
    with pytest.raises(WriteRefused, match="deposed"):
        leader.propose(write(), 0.0)
    with pytest.raises(NotReady):
        leader.check_readable()
    again = make_leader(kept_state(leader))
    assert again.state is LeaderState.DEPOSED
    message = next_message(again, "f0", Hello, 9.0)
    assert message.of_reign is None, "it only wants to know who is there"
    exchange(again, "f0", other, 9.0)
    assert other.promise.reign == of
    again.lost("f1", "gone")
    assert again.force_start() == ["f1"]
    assert (again.state, again.problem) == (LeaderState.TAKEOVER, None)


def test_a_later_reign_deposes_at_a_second_address_of_a_node_too() -> None:
    leader, _ = make_cluster()
    leader.lost("f1", "gone")
    exchange(leader, "f1", claimed_by_another(leader, reign(9), "n0"))
    assert leader.state is LeaderState.DEPOSED


def test_a_leader_that_was_replaced_takes_nobody_back_however_often_it_restarts() -> None:
    leader, followers = make_cluster()
    taker = make_leader()
    talk(taker, followers)
    again = make_leader(kept_state(make_leader(kept_state(leader))))
    exchange(again, "f0", followers["f0"])
    assert again.state is LeaderState.DEPOSED
    assert followers["f0"].promise.reign == taker.reign


def test_a_leader_in_force_has_nothing_to_decide() -> None:
    leader, _ = make_cluster()
    for keep in (None, "f0"):
        with pytest.raises(NothingToForce):
            leader.force_start(keep)
