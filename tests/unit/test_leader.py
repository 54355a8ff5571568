"""The leader: what it appends, sends and confirms, and what its changes call for."""

import pytest
from msgspec import structs

from kvstore.core.changes import Changes, LeaderWatch
from kvstore.core.errors import (
    KeyReused,
    NotEnoughFollowers,
    OutcomeUnknown,
    Overloaded,
    PreconditionFailed,
    WriteRefused,
)
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Append, SnapshotChunk
from kvstore.core.node_state import NodeState
from kvstore.core.preconditions import Precondition
from kvstore.core.progress import Stage
from kvstore.core.records import Promise
from kvstore.core.reign import PIN_S
from tests.support.replication import (
    claimed_by_another,
    exchange,
    first_entry,
    handle,
    kept_state,
    make_cluster,
    make_follower,
    make_leader,
    next_message,
    reign,
    save,
    talk,
    write,
    write_durably,
)

FIRST = 2
"""Index of the first write; the reign's own entry comes before it."""


def commit(leader: Leader) -> int:
    return leader.log.commit_index


# Writes


def test_a_write_is_confirmed_when_w_followers_hold_it() -> None:
    leader, followers = make_cluster(3, 2)
    write_durably(leader)
    exchange(leader, "f0", followers["f0"])
    assert (commit(leader), leader.replicas(FIRST)) == (1, 1)
    assert leader.log.map.get("k") is None, "pending writes are not shown"
    exchange(leader, "f1", followers["f1"])
    assert (commit(leader), leader.replicas(FIRST)) == (FIRST, 2)
    assert leader.log.map.get("k") is not None
    exchange(leader, "f2", followers["f2"])
    assert leader.replicas(FIRST) == 3, "the rest get it too"


def test_too_few_followers_use_no_index() -> None:
    leader, _ = make_cluster(2, 2)
    leader.lost("f0", "gone")
    with pytest.raises(NotEnoughFollowers):
        leader.propose(write(), 0.0)
    assert leader.log.last_index == 1
    assert leader.take_unsaved() == []


def test_preconditions_are_judged_against_the_newest_appended_entry() -> None:
    leader, _ = make_cluster()
    leader.propose(write(), 0.0, Precondition(exists=False))
    with pytest.raises(PreconditionFailed) as failed:
        leader.propose(write(), 0.0, Precondition(exists=False))
    assert failed.value.version == FIRST
    assert leader.propose(write(), 0.0, Precondition(versions=frozenset({FIRST}))) == FIRST + 1


@pytest.mark.parametrize(
    ("limits", "keys"), [({"max_pending": 2}, "ab"), ({"max_pending_bytes": 300}, "abc")]
)
def test_pending_writes_are_bounded(limits: dict[str, int], keys: str) -> None:
    leader, followers = make_cluster(**limits)
    write_durably(leader, *keys)
    with pytest.raises(Overloaded):
        leader.propose(write(), 0.0)
    talk(leader, followers)
    write_durably(leader)


# Repeated requests


def test_a_repeated_request_is_the_same_entry_before_every_other_check() -> None:
    leader, followers = make_cluster(2, 2, max_pending=1)
    assert leader.propose(write(request="once"), 0.0) == FIRST
    save(leader)
    for address in followers:
        leader.lost(address, "gone")
    impossible = Precondition(versions=frozenset({99}))
    assert leader.propose(write(request="once"), 0.0, impossible) == FIRST
    for other in (write(value="2", request="once"), write("other", request="once")):
        with pytest.raises(KeyReused):
            leader.propose(other, 0.0)
    talk(leader, followers)
    assert commit(leader) == FIRST
    assert leader.propose(write(request="once"), 0.0) == FIRST
    assert leader.log.last_index == FIRST


def test_a_retry_is_open_while_the_table_of_requests_is_not_known() -> None:
    taker = make_leader()
    with pytest.raises(OutcomeUnknown):
        taker.propose(write(request="once"), 0.0)
    with pytest.raises(NotEnoughFollowers):
        taker.propose(write(), 0.0)
    deposed = make_leader(NodeState("l", Promise("c", reign(1), "u", deposed_by="epoch 2")))
    with pytest.raises(OutcomeUnknown):
        deposed.propose(write(request="once"), 0.0)
    with pytest.raises(WriteRefused, match="deposed"):
        deposed.propose(write(), 0.0)


# Followers


def test_a_follower_continues_from_where_it_was() -> None:
    leader, followers = make_cluster()
    leader.lost("f0", "gone")
    write_durably(leader, *"abcdefghij")
    sent = leader.followers["f0"].entries_sent
    talk(leader, followers)
    progress = leader.followers["f0"]
    assert (progress.entries_sent - sent, progress.snapshots_sent) == (10, 0)


@pytest.mark.parametrize("retain", [5, 1000])
def test_an_emptied_follower_gets_a_snapshot(retain: int) -> None:
    leader, followers = make_cluster(retain=retain)
    for number in range(20):
        write_durably(leader, f"k{number}")
        talk(leader, followers)
    followers["f0"] = make_follower()
    leader.lost("f0", "gone")
    talk(leader, followers)
    talk(leader, followers, now_s=1.0)
    assert leader.followers["f0"].snapshots_sent == 1
    assert followers["f0"].map.digest() == followers["f1"].map.digest()


def snapshot_on_its_way(**limits: int) -> tuple[Leader, dict[str, Follower]]:
    """A follower that is far behind has got the first of two chunks."""
    leader, followers = make_cluster(retain=5, message_entries=12, **limits)
    leader.lost("f0", "gone")
    for number in range(20):
        write_durably(leader, f"k{number}")
        talk(leader, {"f1": followers["f1"]})
    exchange(leader, "f0", followers["f0"])
    assert exchange(leader, "f0", followers["f0"])
    assert leader.followers["f0"].stage is Stage.SNAPSHOT
    return leader, followers


def test_a_snapshot_is_resumed_after_a_lost_connection() -> None:
    leader, followers = snapshot_on_its_way()
    first = leader.followers["f0"].transfer
    assert first is not None
    leader.lost("f0", "gone")
    exchange(leader, "f0", followers["f0"])
    message = next_message(leader, "f0", SnapshotChunk)
    assert (message.snapshot_id, message.offset, message.done) == (first.snapshot, 12, True)


def test_a_snapshot_begins_anew_where_its_first_chunks_were_lost() -> None:
    leader, followers = snapshot_on_its_way()
    followers["f0"] = Follower(kept_state(followers["f0"]), 1000, 1 << 20)
    exchange(leader, "f0", followers["f0"])
    exchange(leader, "f0", followers["f0"])
    message = next_message(leader, "f0", SnapshotChunk)
    assert message.offset == 0
    talk(leader, followers)
    assert followers["f0"].map.digest() == followers["f1"].map.digest()


def test_the_log_behind_a_snapshot_stays_until_the_entries_behind_it_have_arrived() -> None:
    leader, followers = snapshot_on_its_way()
    assert leader.log.map.position.index == 21
    rest = {"f1": followers["f1"]}
    for _ in range(2):
        while leader.followers["f0"].stage is Stage.SNAPSHOT:
            exchange(leader, "f0", followers["f0"])
        for _ in range(20):
            write_durably(leader)
            talk(leader, rest)
        assert leader.log.replication_log.base.index == 21
    talk(leader, followers)
    assert leader.followers["f0"].snapshots_sent == 1, "the entries came in several messages"
    assert leader.log.replication_log.base.index > 21


@pytest.mark.parametrize(("gone_s", "limits"), [(PIN_S + 1, {}), (0.0, {"pinned_bytes": 2000})])
def test_the_log_is_not_kept_for_ever(gone_s: float, limits: dict[str, int]) -> None:
    leader, followers = snapshot_on_its_way(**limits)
    leader.lost("f0", "gone")
    leader.next_message("f0", PIN_S - 1)
    assert leader.followers["f0"].transfer is not None
    leader.next_message("f0", gone_s)
    for _ in range(20):
        write_durably(leader)
        talk(leader, {"f1": followers["f1"]}, now_s=gone_s)
    assert leader.log.replication_log.base.index > 21


def test_another_node_at_an_address_counts_for_nothing_it_did_not_acknowledge() -> None:
    leader, followers = make_cluster(2, 2)
    write_durably(leader)
    exchange(leader, "f0", followers["f0"])
    leader.lost("f0", "gone")
    exchange(leader, "f0", make_follower())
    assert leader.replicas(FIRST) == 0


def test_a_follower_of_another_cluster_is_left_alone() -> None:
    leader, _ = make_cluster()
    theirs = reign(99)
    stranger = make_follower("s", first_entry(1, theirs), promise=Promise("x", theirs, "u"))
    leader.lost("f0", "gone")
    exchange(leader, "f0", stranger)
    assert leader.state is LeaderState.LEADING, "an epoch of another cluster deposes nobody"
    assert "another cluster" in (leader.problem or "")
    assert stranger.promise.reign == theirs


# What an answer confirms


@pytest.mark.parametrize(
    "held", [{"last_index": 1}, {"last_epoch": 0, "last_reign_id": "elsewhere"}], ids=str
)
def test_an_answer_counts_only_if_the_whole_log_is_a_part_of_the_leaders(
    held: dict[str, object],
) -> None:
    leader, followers = make_cluster()
    write_durably(leader)
    message = next_message(leader, "f0", Append)
    leader.receive("f0", message, structs.replace(handle(followers["f0"], message), **held), 0.0)
    assert (commit(leader), leader.replicas(FIRST)) == (1, 0)
    assert leader.followers["f0"].stage is Stage.HELLO


# Lag


def test_lag_counts_entries_of_an_earlier_process_from_the_start_of_this_one() -> None:
    leader, followers = make_cluster()
    leader.propose(write(), 10.0)
    save(leader)
    restarted = make_leader(kept_state(leader))
    assert restarted.lag("f0", 1015.0, started_s=1000.0) == (3, 15.0)
    talk(restarted, {"f1": followers["f1"]}, 1016.0)
    restarted.propose(write(), 1017.0)
    assert restarted.lag("f0", 1018.0, started_s=1000.0) == (4, 18.0), "the oldest missing counts"
    assert restarted.lag("f1", 1018.0, started_s=1000.0) == (1, 1.0)


def test_lag_of_a_follower_that_lacks_what_is_in_the_map_only() -> None:
    leader, followers = make_cluster(retain=1)
    for _ in range(5):
        write_durably(leader)
        talk(leader, followers)
    restarted = make_leader(kept_state(leader))
    assert restarted.log.replication_log.base.index > 1
    assert restarted.lag("f0", 1015.0, started_s=1000.0) == (7, 15.0)


# What a change calls for


NOTHING = Changes(reign=False, to_say=False, state=False, problem=False)
TO_SAY = Changes(reign=False, to_say=True, state=False, problem=False)


def watched(leader: Leader) -> LeaderWatch:
    """A watch that has looked already."""
    watch = LeaderWatch(leader)
    watch.look()
    return watch


def test_the_first_look_finds_all_of_it_new() -> None:
    watch = LeaderWatch(make_cluster()[0])
    assert watch.look() == Changes(reign=True, to_say=True, state=True, problem=False)
    assert watch.look() == NOTHING


def test_there_is_something_to_say_when_entries_are_durable() -> None:
    leader, followers = make_cluster()
    watch = watched(leader)
    leader.propose(write(), 0.0)
    assert watch.look() == NOTHING
    save(leader)
    assert watch.look() == TO_SAY
    talk(leader, followers)
    assert watch.look() == NOTHING


def test_a_leader_that_is_deposed_ends_its_reign_with_a_problem() -> None:
    leader, _ = make_cluster()
    watch = watched(leader)
    leader.lost("f0", "gone")
    exchange(leader, "f0", claimed_by_another(leader, reign(9), "n0"))
    assert watch.look() == Changes(reign=True, to_say=True, state=True, problem=True)
