"""The leader: what it appends, sends and confirms, and how its reigns begin and end."""

import pytest

from kvstore.entries import Position
from kvstore.errors import (
    KeyReused,
    NotEnoughFollowers,
    NothingToForce,
    NotReady,
    Overloaded,
    PreconditionFailed,
    WriteRefused,
)
from kvstore.follower import Follower
from kvstore.key_value_map import KeyValueMap
from kvstore.leader import Leader, LeaderState
from kvstore.messages import Append, Claim, Hello, SnapshotChunk
from kvstore.preconditions import Precondition
from kvstore.progress import Stage
from kvstore.records import NodeState, Promise
from kvstore.replication_log import ReplicationLog
from tests.unit.core import claim, exchange, follower, leader, save, talk, write


def cluster(
    followers: int = 2, write_quorum: int = 1, **limits: int
) -> tuple[Leader, dict[str, Follower]]:
    made = leader(followers, write_quorum, state=None, **limits)
    others = {f"f{n}": Follower(NodeState(f"n{n}"), 1000, 1 << 20) for n in range(followers)}
    talk(made, others)
    assert made.ready
    return made, others


def commit(made: Leader) -> int:
    return made.quorum.commit_index


# Writes


def test_only_durable_entries_are_sent() -> None:
    made, _ = cluster()
    made.propose(write(), 0.0)
    assert made.next_message("f0", 0.0) is None
    save(made)
    message = made.next_message("f0", 0.0)
    assert isinstance(message, Append)
    assert [entry.index for entry in message.entries] == [1]


def test_a_write_is_confirmed_when_w_followers_hold_it() -> None:
    made, others = cluster(3, 2)
    made.propose(write(), 0.0)
    save(made)
    exchange(made, "f0", others["f0"])
    assert (commit(made), made.replicas(1)) == (0, 1)
    assert made.log.map.get("k") is None, "pending writes are not shown"
    exchange(made, "f1", others["f1"])
    assert (commit(made), made.replicas(1)) == (1, 2)
    assert made.log.map.get("k") is not None
    exchange(made, "f2", others["f2"])
    assert made.replicas(1) == 3, "the rest get it too"


def test_without_a_quorum_a_write_is_confirmed_when_it_is_durable() -> None:
    made, _ = cluster(write_quorum=0)
    made.propose(write(), 0.0)
    assert commit(made) == 0
    save(made)
    assert commit(made) == 1


def test_pending_writes_are_judged_by_the_new_quorum() -> None:
    made, others = cluster(2, 2)
    made.propose(write(), 0.0)
    save(made)
    exchange(made, "f0", others["f0"])
    assert commit(made) == 0
    made.set_quorum(1)
    assert commit(made) == 1
    made.set_quorum(2)
    assert commit(made) == 1, "what is confirmed stays so"


def test_too_few_followers_use_no_index() -> None:
    made, _ = cluster(2, 2)
    made.lost("f0", "gone")
    with pytest.raises(NotEnoughFollowers):
        made.propose(write(), 0.0)
    assert made.log.last_index == 0
    assert made.take_unsaved() == []


def test_preconditions_are_judged_against_the_newest_appended_entry() -> None:
    made, _ = cluster()
    made.propose(write(), 0.0, Precondition(exists=False))
    with pytest.raises(PreconditionFailed) as failed:
        made.propose(write(), 0.0, Precondition(exists=False))
    assert failed.value.version == 1
    assert made.propose(write(), 0.0, Precondition(versions=frozenset({1}))) == 2


def test_pending_writes_are_bounded() -> None:
    made, others = cluster(max_pending=2)
    for _ in range(2):
        made.propose(write(), 0.0)
    with pytest.raises(Overloaded):
        made.propose(write(), 0.0)
    save(made)
    talk(made, others)
    assert made.propose(write(), 0.0) == 3


def test_pending_bytes_are_bounded_and_given_back() -> None:
    made, others = cluster(max_pending_bytes=300)
    for _ in range(4):
        made.propose(write(), 0.0)
    with pytest.raises(Overloaded):
        made.propose(write(), 0.0)
    save(made)
    talk(made, others)
    made.propose(write(), 0.0)


def test_a_repeated_request_is_the_same_entry_before_every_other_check() -> None:
    made, others = cluster(2, 2, max_pending=1)
    assert made.propose(write(request="once"), 0.0) == 1
    save(made)
    for address in others:
        made.lost(address, "gone")
    impossible = Precondition(versions=frozenset({99}))
    assert made.propose(write(request="once"), 0.0, impossible) == 1
    for other in (write(value="2", request="once"), write("other", request="once")):
        with pytest.raises(KeyReused):
            made.propose(other, 0.0)
    talk(made, others)
    assert commit(made) == 1
    assert made.propose(write(request="once"), 0.0) == 1
    assert made.log.last_index == 1


# Followers


def test_a_follower_continues_from_where_it_was() -> None:
    made, others = cluster()
    made.lost("f0", "gone")
    for _ in range(10):
        made.propose(write(), 0.0)
    save(made)
    sent = made.followers["f0"].entries_sent
    talk(made, others)
    progress = made.followers["f0"]
    assert (progress.entries_sent - sent, progress.snapshots_sent) == (10, 0)


@pytest.mark.parametrize("retain", [5, 1000])
def test_an_emptied_follower_gets_a_snapshot(retain: int) -> None:
    made, others = cluster(retain=retain)
    for number in range(20):
        made.propose(write(f"k{number}"), 0.0)
        save(made)
        talk(made, others)
    others["f0"] = Follower(NodeState("new"), 1000, 1 << 20)
    made.lost("f0", "gone")
    talk(made, others)
    assert made.followers["f0"].snapshots_sent == 1
    assert others["f0"].map.digest() == others["f1"].map.digest()


def test_a_follower_later_than_the_log_reaches_gets_a_snapshot() -> None:
    made, others = cluster(retain=5)
    made.lost("f0", "gone")
    rest = {"f1": others["f1"]}
    for _ in range(20):
        made.propose(write(), 0.0)
        save(made)
        talk(made, rest)
    talk(made, others)
    assert made.followers["f0"].snapshots_sent == 1
    assert others["f0"].log.last == made.log.entries.last


def test_the_log_behind_a_snapshot_is_pinned_while_it_travels() -> None:
    made, others = cluster(retain=5)
    made.propose(write(), 0.0)
    save(made)
    talk(made, others)
    others["f0"] = Follower(NodeState("new"), 1000, 1 << 20)
    made.lost("f0", "gone")
    while not isinstance(made.next_message("f0", 0.0), SnapshotChunk):
        exchange(made, "f0", others["f0"])
    for _ in range(20):
        made.propose(write(), 0.0)
        save(made)
        talk(made, {"f1": others["f1"]})
    assert made.log.entries.base.index == 1
    talk(made, others)
    assert made.followers["f0"].snapshots_sent == 1


def test_another_node_at_an_address_counts_for_nothing_it_did_not_acknowledge() -> None:
    made, others = cluster(2, 2)
    made.propose(write(), 0.0)
    save(made)
    exchange(made, "f0", others["f0"])
    others["f0"] = Follower(NodeState("new"), 1000, 1 << 20)
    made.lost("f0", "gone")
    exchange(made, "f0", others["f0"])
    assert made.replicas(1) == 0


def test_one_node_at_two_addresses_counts_once() -> None:
    made, others = cluster(2, 2)
    made.propose(write(), 0.0)
    save(made)
    made.lost("f1", "gone")
    others["f1"] = others["f0"]
    for _ in range(10):
        exchange(made, "f0", others["f0"])
        exchange(made, "f1", others["f0"])
    assert commit(made) == 0
    assert not made.ready
    assert "are one node" in (made.problem or "")
    assert made.followers["f1"].stage is Stage.CONFLICT


def test_a_follower_of_another_cluster_is_left_alone() -> None:
    made, others = cluster()
    stranger = Follower(NodeState("s", Promise("other", 99, "x", "http://x")), 1000, 1 << 20)
    made.lost("f0", "gone")
    others["f0"] = stranger
    exchange(made, "f0", stranger)
    assert made.state is LeaderState.LEADING, "an epoch of another cluster deposes nobody"
    assert "another cluster" in (made.problem or "")
    assert stranger.promise.epoch == 99


def test_heartbeats_come_about_twice_a_second() -> None:
    made, others = cluster()
    assert made.next_message("f0", 0.4) is None
    heartbeat = made.next_message("f0", 0.5)
    assert isinstance(heartbeat, Append)
    assert heartbeat.entries == []
    assert exchange(made, "f0", others["f0"], 1.0)


# Reigns


def test_a_leader_with_its_own_state_claims_each_follower_as_it_meets_it() -> None:
    made, others = cluster()
    made.propose(write(), 0.0)
    save(made)
    talk(made, others)
    restarted = leader(2, state=NodeState("l", made.promise, 1, made.log.map, made.log.entries))
    assert restarted.state is LeaderState.CATCHING_UP
    with pytest.raises(NotReady):
        restarted.check_readable()
    kinds = [type(restarted.next_message("f0", 0.0))]
    exchange(restarted, "f0", others["f0"])
    kinds.append(type(restarted.next_message("f0", 0.0)))
    exchange(restarted, "f0", others["f0"])
    assert kinds == [Hello, Claim]
    assert restarted.ready, "one of two holds the start, and W is 1"
    assert restarted.promise.epoch == made.promise.epoch + 1


def fresh(followers: int = 2, write_quorum: int = 1) -> Leader:
    return leader(followers, write_quorum, state=NodeState("fresh"))


def test_a_leader_without_state_waits_for_all_and_takes_the_best() -> None:
    made, others = cluster()
    made.propose(write(request="once"), 0.0)
    save(made)
    exchange(made, "f1", others["f1"])
    taker = fresh()
    exchange(taker, "f0", others["f0"])
    assert (taker.state_text, taker.waiting_for) == ("looking", ["f1"])
    assert others["f0"].promise.epoch == made.promise.epoch, "looking changes nothing"
    with pytest.raises(NotEnoughFollowers):
        taker.propose(write(), 0.0)
    talk(taker, others)
    assert taker.ready
    assert taker.promise.epoch == made.promise.epoch + 1
    assert taker.log.entries.last == Position(made.promise.epoch, 1)
    assert taker.propose(write(request="once"), 0.0) == 1, "requests are taken over"
    assert others["f0"].log.last == others["f1"].log.last


def test_a_takeover_starts_over_when_the_best_goes_away() -> None:
    made, others = cluster()
    made.propose(write(), 0.0)
    save(made)
    exchange(made, "f1", others["f1"])
    taker = fresh()
    while taker.state_text != "taking over":
        for address, other in others.items():
            exchange(taker, address, other)
    taker.lost("f1", "gone")
    assert (taker.state_text, taker.waiting_for) == ("looking", ["f0", "f1"])
    talk(taker, others)
    assert taker.log.last_index == 1


def test_force_start_goes_on_without_the_missing() -> None:
    made, others = cluster()
    taker = fresh()
    exchange(taker, "f0", others["f0"])
    assert taker.force_start() == ["f1"]
    save(taker)
    talk(taker, {"f0": others["f0"]})
    assert taker.ready
    assert taker.promise.epoch >= made.promise.epoch + 1000
    with pytest.raises(NothingToForce):
        taker.force_start()


def test_a_leader_that_meets_a_later_reign_is_deposed_for_good() -> None:
    made, others = cluster()
    made.propose(write(), 0.0)
    save(made)
    assert others["f0"].claim(claim(9, "other", made.promise.cluster or "")).error is None
    save(others["f0"])
    exchange(made, "f0", others["f0"])
    assert made.state is LeaderState.DEPOSED
    assert "epoch 9" in (made.problem or "")
    with pytest.raises(WriteRefused, match="deposed"):
        made.propose(write(), 0.0)
    with pytest.raises(NotReady):
        made.check_readable()
    assert made.next_message("f1", 9.0) is None
    again = leader(2, state=NodeState("l", made.promise))
    assert again.state is LeaderState.DEPOSED
    assert again.next_message("f0", 0.0) is None


def test_a_twin_of_the_same_epoch_deposes() -> None:
    made, others = cluster()
    twin = follower()
    twin.promise = Promise(made.promise.cluster, made.promise.epoch, "twin", "http://twin")
    made.lost("f0", "gone")
    exchange(made, "f0", twin)
    assert made.state is LeaderState.DEPOSED
    assert others["f0"].promise.reign == made.promise.reign


def test_a_replaced_leader_that_restarted_out_of_reach_takes_nobody_back() -> None:
    made, others = cluster()
    taker = fresh()
    talk(taker, others)
    state = NodeState("l", made.promise, 1, made.log.map, made.log.entries)
    for _ in range(3):
        restarted = leader(2, state=state)
        state = NodeState("l", restarted.promise, 1, made.log.map, made.log.entries)
    assert restarted.promise.epoch > taker.promise.epoch
    exchange(restarted, "f0", others["f0"])
    assert restarted.state is LeaderState.DEPOSED
    assert others["f0"].promise.reign == taker.promise.reign


def test_lag_is_in_entries_and_in_the_age_of_the_oldest_missing() -> None:
    made, others = cluster()
    made.propose(write(), 10.0)
    made.propose(write(), 12.0)
    save(made)
    assert made.lag("f0", 15.0) == (2, 5.0)
    exchange(made, "f0", others["f0"], 15.0)
    assert made.lag("f0", 15.0) == (0, 0.0)


def test_lag_counts_entries_of_an_earlier_process_from_the_start_of_this_one() -> None:
    made, others = cluster()
    made.propose(write(), 10.0)
    save(made)
    loaded = ReplicationLog(entries=made.log.entries.entries())
    state = NodeState("l", made.promise, 1, KeyValueMap(loaded.last), loaded)
    restarted = leader(2, state=state)
    assert restarted.lag("f0", 1015.0, started_s=1000.0) == (1, 15.0)
    talk(restarted, {"f1": others["f1"]}, 1016.0)
    restarted.propose(write(), 1017.0)
    assert restarted.lag("f0", 1018.0, started_s=1000.0) == (2, 18.0), "the oldest missing counts"
    assert restarted.lag("f1", 1018.0, started_s=1000.0) == (1, 1.0)


def test_lag_of_a_follower_that_lacks_what_is_in_the_map_only() -> None:
    made, _ = cluster()
    made.propose(write(), 10.0)
    last = made.log.entries.last
    state = NodeState("l", made.promise, 1, KeyValueMap(last), ReplicationLog(last))
    assert leader(2, state=state).lag("f0", 1015.0, started_s=1000.0) == (1, 15.0)
