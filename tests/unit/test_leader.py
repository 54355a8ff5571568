"""The leader: what it appends, sends and confirms."""

import pytest
from msgspec import structs

from kvstore.core.errors import (
    KeyReused,
    NotEnoughFollowers,
    OutcomeUnknown,
    Overloaded,
    PreconditionFailed,
    WriteRefused,
)
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader, LeaderState
from kvstore.core.messages import Append, SnapshotChunk
from kvstore.core.node_state import NodeState
from kvstore.core.preconditions import Precondition
from kvstore.core.progress import Stage
from kvstore.core.records import Promise
from kvstore.core.reign import PIN_S
from tests.unit.core import (
    begin,
    cluster,
    exchange,
    handle,
    kept,
    leader,
    reign,
    save,
    state_of,
    talk,
    write,
    wrote,
)

FIRST = 2
"""Index of the first write; the reign's own entry comes before it."""


def commit(made: Leader) -> int:
    return made.log.commit_index


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.core.messages.MAX_ENTRIES", 12)


def emptied(node: str = "new") -> Follower:
    return Follower(NodeState(node), 1000, 1 << 20)


# Writes


def test_only_durable_entries_are_sent() -> None:
    made, _ = cluster()
    made.propose(write(), 0.0)
    assert made.next_message("f0", 0.0) is None
    save(made)
    message = made.next_message("f0", 0.0)
    assert isinstance(message, Append)
    assert [entry.index for entry in message.entries] == [FIRST]


def test_a_write_is_confirmed_when_w_followers_hold_it() -> None:
    made, others = cluster(3, 2)
    wrote(made)
    exchange(made, "f0", others["f0"])
    assert (commit(made), made.replicas(FIRST)) == (1, 1)
    assert made.log.map.get("k") is None, "pending writes are not shown"
    exchange(made, "f1", others["f1"])
    assert (commit(made), made.replicas(FIRST)) == (FIRST, 2)
    assert made.log.map.get("k") is not None
    exchange(made, "f2", others["f2"])
    assert made.replicas(FIRST) == 3, "the rest get it too"


def test_without_a_quorum_a_write_is_confirmed_when_it_is_durable() -> None:
    made, _ = cluster(write_quorum=0)
    made.propose(write(), 0.0)
    assert commit(made) == 1
    save(made)
    assert commit(made) == FIRST


def test_pending_writes_are_judged_by_the_new_quorum() -> None:
    made, others = cluster(2, 2)
    wrote(made)
    exchange(made, "f0", others["f0"])
    assert commit(made) == 1
    made.set_quorum(1)
    assert commit(made) == FIRST
    made.set_quorum(2)
    assert commit(made) == FIRST, "what is confirmed stays so"


def test_too_few_followers_use_no_index() -> None:
    made, _ = cluster(2, 2)
    made.lost("f0", "gone")
    with pytest.raises(NotEnoughFollowers):
        made.propose(write(), 0.0)
    assert made.log.last_index == 1
    assert made.take_unsaved() == []


def test_preconditions_are_judged_against_the_newest_appended_entry() -> None:
    made, _ = cluster()
    made.propose(write(), 0.0, Precondition(exists=False))
    with pytest.raises(PreconditionFailed) as failed:
        made.propose(write(), 0.0, Precondition(exists=False))
    assert failed.value.version == FIRST
    assert made.propose(write(), 0.0, Precondition(versions=frozenset({FIRST}))) == FIRST + 1


def test_pending_writes_are_bounded() -> None:
    made, others = cluster(max_pending=2)
    wrote(made, "a", "b")
    with pytest.raises(Overloaded):
        made.propose(write(), 0.0)
    talk(made, others)
    wrote(made)


def test_pending_bytes_are_bounded_and_given_back() -> None:
    made, others = cluster(max_pending_bytes=300)
    wrote(made, "a", "b", "c")
    with pytest.raises(Overloaded):
        made.propose(write(), 0.0)
    talk(made, others)
    wrote(made)


# Repeated requests


def test_a_repeated_request_is_the_same_entry_before_every_other_check() -> None:
    made, others = cluster(2, 2, max_pending=1)
    assert made.propose(write(request="once"), 0.0) == FIRST
    save(made)
    for address in others:
        made.lost(address, "gone")
    impossible = Precondition(versions=frozenset({99}))
    assert made.propose(write(request="once"), 0.0, impossible) == FIRST
    for other in (write(value="2", request="once"), write("other", request="once")):
        with pytest.raises(KeyReused):
            made.propose(other, 0.0)
    talk(made, others)
    assert commit(made) == FIRST
    assert made.propose(write(request="once"), 0.0) == FIRST
    assert made.log.last_index == FIRST


def test_a_retry_is_open_while_the_table_of_requests_is_not_known() -> None:
    taker = leader()
    with pytest.raises(OutcomeUnknown):
        taker.propose(write(request="once"), 0.0)
    with pytest.raises(NotEnoughFollowers):
        taker.propose(write(), 0.0)
    deposed = leader(NodeState("l", Promise("c", reign(1), "u", deposed_by="epoch 2")))
    with pytest.raises(OutcomeUnknown):
        deposed.propose(write(request="once"), 0.0)
    with pytest.raises(WriteRefused, match="deposed"):
        deposed.propose(write(), 0.0)


def test_a_retry_is_open_while_a_restarted_leader_may_have_been_replaced() -> None:
    made, others = cluster()
    made.propose(write(request="once"), 0.0)
    save(made)
    talk(made, others)
    again = leader(kept(made))
    while again.followers["f0"].stage is not Stage.STREAM:
        exchange(again, "f0", others["f0"])
    assert again.state is LeaderState.CATCHING_UP
    with pytest.raises(OutcomeUnknown):
        again.propose(write(request="perhaps"), 0.0)
    assert again.propose(write(request="once"), 0.0) == FIRST
    talk(again, others)
    again.propose(write(request="perhaps"), 0.0)


# Followers


def test_a_follower_continues_from_where_it_was() -> None:
    made, others = cluster()
    made.lost("f0", "gone")
    wrote(made, *"abcdefghij")
    sent = made.followers["f0"].entries_sent
    talk(made, others)
    progress = made.followers["f0"]
    assert (progress.entries_sent - sent, progress.snapshots_sent) == (10, 0)


@pytest.mark.parametrize("retain", [5, 1000])
def test_an_emptied_follower_gets_a_snapshot(retain: int) -> None:
    made, others = cluster(retain=retain)
    for number in range(20):
        wrote(made, f"k{number}")
        talk(made, others)
    others["f0"] = emptied()
    made.lost("f0", "gone")
    talk(made, others)
    talk(made, others, now_s=1.0)
    assert made.followers["f0"].snapshots_sent == 1
    assert others["f0"].map.digest() == others["f1"].map.digest()


def test_a_follower_behind_the_log_gets_a_snapshot() -> None:
    made, others = cluster(retain=5)
    made.lost("f0", "gone")
    rest = {"f1": others["f1"]}
    for _ in range(20):
        wrote(made)
        talk(made, rest)
    talk(made, others)
    assert made.followers["f0"].snapshots_sent == 1
    assert others["f0"].log.last == made.log.replication_log.last


def snapshot_on_its_way(**limits: int) -> tuple[Leader, dict[str, Follower]]:
    """A follower that is far behind has got the first of two chunks."""
    made, others = cluster(retain=5, **limits)
    made.lost("f0", "gone")
    for number in range(20):
        wrote(made, f"k{number}")
        talk(made, {"f1": others["f1"]})
    exchange(made, "f0", others["f0"])
    assert exchange(made, "f0", others["f0"])
    assert made.followers["f0"].stage is Stage.SNAPSHOT
    return made, others


@pytest.mark.usefixtures("_small_chunks")
def test_a_snapshot_is_resumed_after_a_lost_connection() -> None:
    made, others = snapshot_on_its_way()
    first = made.followers["f0"].transfer
    assert first is not None
    made.lost("f0", "gone")
    exchange(made, "f0", others["f0"])
    message = made.next_message("f0", 0.0)
    assert isinstance(message, SnapshotChunk)
    assert (message.snapshot_id, message.offset, message.done) == (first.snapshot, 12, True)


@pytest.mark.usefixtures("_small_chunks")
def test_a_snapshot_begins_anew_where_its_first_chunks_were_lost() -> None:
    made, others = snapshot_on_its_way()
    others["f0"] = Follower(kept(others["f0"]), 1000, 1 << 20)
    exchange(made, "f0", others["f0"])
    exchange(made, "f0", others["f0"])
    message = made.next_message("f0", 0.0)
    assert isinstance(message, SnapshotChunk)
    assert message.offset == 0
    talk(made, others)
    assert others["f0"].map.digest() == others["f1"].map.digest()


@pytest.mark.usefixtures("_small_chunks")
def test_the_log_behind_a_snapshot_stays_until_the_entries_behind_it_have_arrived() -> None:
    made, others = snapshot_on_its_way()
    assert made.log.map.position.index == 21
    rest = {"f1": others["f1"]}
    for _ in range(2):
        while made.followers["f0"].stage is Stage.SNAPSHOT:
            exchange(made, "f0", others["f0"])
        for _ in range(20):
            wrote(made)
            talk(made, rest)
        assert made.log.replication_log.base.index == 21
    talk(made, others)
    assert made.followers["f0"].snapshots_sent == 1, "the entries came in several messages"
    assert made.log.replication_log.base.index > 21


@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize(("gone_s", "limits"), [(PIN_S + 1, {}), (0.0, {"pinned_bytes": 2000})])
def test_the_log_is_not_kept_for_ever(gone_s: float, limits: dict[str, int]) -> None:
    made, others = snapshot_on_its_way(**limits)
    made.lost("f0", "gone")
    made.next_message("f0", PIN_S - 1)
    assert made.followers["f0"].transfer is not None
    made.next_message("f0", gone_s)
    for _ in range(20):
        wrote(made)
        talk(made, {"f1": others["f1"]}, now_s=gone_s)
    assert made.log.replication_log.base.index > 21


def test_another_node_at_an_address_counts_for_nothing_it_did_not_acknowledge() -> None:
    made, others = cluster(2, 2)
    wrote(made)
    exchange(made, "f0", others["f0"])
    made.lost("f0", "gone")
    exchange(made, "f0", emptied())
    assert made.replicas(FIRST) == 0


def test_one_node_at_two_addresses_counts_once() -> None:
    made, others = cluster(2, 2)
    wrote(made)
    made.lost("f1", "gone")
    for _ in range(10):
        exchange(made, "f0", others["f0"])
        exchange(made, "f1", others["f0"])
    assert commit(made) == 1
    assert not made.ready
    assert "are one node" in (made.problem or "")
    assert made.followers["f1"].stage is Stage.CONFLICT


def test_a_follower_of_another_cluster_is_left_alone() -> None:
    made, _ = cluster()
    theirs = reign(99)
    stranger = Follower(state_of("s", begin(1, theirs), promise=Promise("x", theirs, "u")), 9, 9)
    made.lost("f0", "gone")
    exchange(made, "f0", stranger)
    assert made.state is LeaderState.LEADING, "an epoch of another cluster deposes nobody"
    assert "another cluster" in (made.problem or "")
    assert stranger.promise.reign == theirs


def test_heartbeats_come_about_twice_a_second() -> None:
    made, others = cluster()
    assert made.next_message("f0", 0.4) is None
    heartbeat = made.next_message("f0", 0.5)
    assert isinstance(heartbeat, Append)
    assert heartbeat.entries == []
    assert exchange(made, "f0", others["f0"], 1.0)


# What an answer confirms


def test_hello_and_claim_confirm_nothing() -> None:
    made, others = cluster()
    wrote(made)
    talk(made, others)
    again = leader(kept(made))
    for address, other in others.items():
        while again.followers[address].stage is not Stage.STREAM:
            exchange(again, address, other)
    assert [p.match_index for p in again.followers.values()] == [0, 0]
    assert again.state is LeaderState.CATCHING_UP


@pytest.mark.parametrize(
    "held", [{"last_index": 1}, {"last_epoch": 0, "last_reign_id": "elsewhere"}], ids=str
)
def test_an_answer_counts_only_if_the_whole_log_is_a_part_of_the_leaders(
    held: dict[str, object],
) -> None:
    made, others = cluster()
    wrote(made)
    message = made.next_message("f0", 0.0)
    assert isinstance(message, Append)
    made.receive("f0", message, structs.replace(handle(others["f0"], message), **held), 0.0)
    assert (commit(made), made.replicas(FIRST)) == (1, 0)
    assert made.followers["f0"].stage is Stage.HELLO


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
    restarted = leader(kept(made))
    assert restarted.lag("f0", 1015.0, started_s=1000.0) == (3, 15.0)
    talk(restarted, {"f1": others["f1"]}, 1016.0)
    restarted.propose(write(), 1017.0)
    assert restarted.lag("f0", 1018.0, started_s=1000.0) == (4, 18.0), "the oldest missing counts"
    assert restarted.lag("f1", 1018.0, started_s=1000.0) == (1, 1.0)


def test_lag_of_a_follower_that_lacks_what_is_in_the_map_only() -> None:
    made, others = cluster(retain=1)
    for _ in range(5):
        made.propose(write(), 10.0)
        save(made)
        talk(made, others)
    restarted = leader(kept(made))
    assert restarted.log.replication_log.base.index > 1
    assert restarted.lag("f0", 1015.0, started_s=1000.0) == (7, 15.0)
