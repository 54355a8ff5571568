"""How a leader's reigns begin and end, and who counts in them."""

import pytest

from kvstore.core.entries import Members, ReignId
from kvstore.core.errors import NothingToForce, NotReady, WriteRefused
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader, LeaderState
from kvstore.core.messages import Claim, Hello, Message
from kvstore.core.node_state import NodeState
from kvstore.core.progress import Stage
from kvstore.core.records import Promise, Record, ReplaceState, SavePromise
from tests.unit.core import (
    CLUSTER,
    NOW_MS,
    R1,
    URL,
    begin,
    claim,
    cluster,
    entries,
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


def led(of: ReignId = R1, members: Members | None = None, last: int = 1) -> NodeState:
    """A directory that says that its node led."""
    promise = Promise(CLUSTER, of, URL, members or {}, is_own=True, has_led=True)
    return state_of("l", *entries(last, of=reign(of.epoch)), promise=promise)


def empty(node: str) -> Follower:
    return Follower(NodeState(node), 1000, 1 << 20)


def claimed_by(of: ReignId, other: Follower) -> Follower:
    """Let a follower of the leader accept a reign of somebody else."""
    found = other.promise.reign
    message = claim(of, node=other.node_id, found=found, cluster=other.promise.cluster_id or "")
    assert other.claim(message).error is None
    save(other)
    return other


def says(made: Leader, address: str, other: Follower, times: int = 1) -> list[type[Message] | None]:
    """What the leader says to a follower."""
    kinds: list[type[Message] | None] = []
    for _ in range(times):
        message = made.next_message(address, 0.0)
        kinds.append(None if message is None else type(message))
        exchange(made, address, other)
    return kinds


# How a reign begins


@pytest.mark.parametrize(
    ("before", "restart"), [(0, NOW_MS), (NOW_MS, NOW_MS + 1), (NOW_MS + 4, NOW_MS + 5)]
)
def test_a_restart_keeps_the_epoch_and_is_later(before: int, restart: int) -> None:
    held = reign(3, before)
    made = leader(led(held)).reign
    assert made is not None
    assert (made.epoch, made.restart, made.takeover_id) == (3, restart, held.takeover_id)
    assert made.id != held.id
    assert made.is_later_than(held)


def test_a_reign_is_saved_before_anybody_hears_of_it() -> None:
    made = leader(led(), durable=False)
    assert made.state is LeaderState.STARTING
    message = made.next_message("f0", 0.0)
    assert isinstance(message, Hello)
    assert message.of_reign is None
    assert made.take_unsaved() == [SavePromise(made.promise)]


def test_a_reign_begins_with_an_entry_that_names_the_followers() -> None:
    for made in (cluster()[0], leader(led(members={"f0": "n0", "f1": "n1", "gone": "n2"}))):
        first = made.log.replication_log[made.log.first_index]
        assert (first.operation, first.begins) == ("noop", made.reign)
        assert first.members == {"f0": "n0", "f1": "n1"}


def test_nothing_is_confirmed_and_shown_before_the_first_entry_is() -> None:
    made, others = cluster()
    wrote(made)
    talk(made, others)
    again = leader(kept(made))
    assert says(again, "f0", others["f0"], 2) == [Hello, Claim]
    assert again.state is LeaderState.CATCHING_UP
    assert again.waiting_for == ["f0", "f1"]
    with pytest.raises(NotReady):
        again.check_readable()
    again.propose(write(), 0.0)
    save(again)
    assert (again.log.commit_index, again.log.map.position.index) == (0, 2)
    exchange(again, "f0", others["f0"])
    assert again.ready, "one of two holds the first entry, and W is 1"
    assert again.log.commit_index == 4


def test_a_quorum_raised_from_0_needs_a_follower_that_holds_the_first_entry() -> None:
    made = leader(led(members={"f0": "n0"}), 1, 0)
    assert made.ready
    made.set_quorum(1)
    assert made.state is LeaderState.CATCHING_UP
    assert made.waiting_for == ["f0"]
    with pytest.raises(NotReady):
        made.check_readable()
    talk(made, {"f0": empty("n0")})
    assert made.ready


def test_a_restarted_leader_claims_each_follower_in_the_reign_it_is_found_in() -> None:
    made, others = cluster()
    again = leader(kept(made))
    exchange(again, "f0", others["f0"])
    message = again.next_message("f0", 0.0)
    assert isinstance(message, Claim)
    assert made.reign is not None
    assert (message.node_id, message.found_reign_id) == ("n0", made.reign.id)
    assert message.members == {"f0": "n0", "f1": "n1"}
    talk(again, others)
    assert others["f0"].promise.reign == others["f1"].promise.reign == again.reign


# A takeover


def test_a_leader_without_state_waits_for_all_and_takes_the_best() -> None:
    made, others = cluster()
    index = made.propose(write(request="once"), 0.0)
    save(made)
    exchange(made, "f1", others["f1"])
    taker = leader()
    exchange(taker, "f0", others["f0"])
    assert (taker.state_text, taker.waiting_for) == ("looking", ["f1"])
    assert others["f0"].promise.reign == made.reign, "looking changes nothing"
    talk(taker, others)
    assert taker.ready
    assert taker.promise.epoch == made.promise.epoch + 1
    assert taker.log.first_index == index + 1
    assert taker.propose(write(request="once"), 0.0) == index, "requests are taken over"
    assert others["f0"].log.last == others["f1"].log.last


def test_a_node_that_is_no_follower_any_more_is_taken_over_from() -> None:
    made, others = cluster()
    wrote(made, "only there")
    exchange(made, "f1", others["f1"])
    taker = leader(followers=1)
    exchange(taker, "f0", others["f0"])
    assert taker.waiting_for == ["f1"]
    talk(taker, others)
    assert taker.ready
    assert list(taker.followers) == ["f0"]
    assert taker.log.map.get("only there") is not None
    assert taker.promise.members == {"f0": "n0"}


def test_what_the_state_taken_over_does_not_hold_is_discarded() -> None:
    own = kept(leader(led(members={"f0": "n0"}, last=3), 1, 0))
    own.promise, held = Promise(CLUSTER, R1, URL), own.log.entries()
    better = Follower(state_of("n0", begin(1, reign(2)), promise=Promise(CLUSTER, reign(2))), 9, 9)
    taker = leader(own, 1)
    records: list[Record] = []
    while not any(isinstance(record, ReplaceState) for record in records):
        message = taker.next_message("f0", 0.0)
        assert message is not None
        taker.receive("f0", message, handle(better, message), 0.0)
        records += (new := taker.take_unsaved())
        for record in new:
            taker.saved(record)
    assert isinstance(records[-1], ReplaceState)
    assert records[-1].discarded == held
    assert taker.discarded == 4


def test_a_takeover_goes_on_without_the_missing_when_it_is_forced() -> None:
    made, others = cluster()
    taker = leader()
    exchange(taker, "f0", others["f0"])
    taker.lost("f1", "gone")
    assert taker.force_start() == ["f1"]
    save(taker)
    talk(taker, {"f0": others["f0"]})
    assert taker.ready
    assert taker.promise.epoch >= made.promise.epoch + 1000
    with pytest.raises(NothingToForce):
        taker.force_start()


def test_a_decision_that_is_sent_twice_is_made_once() -> None:
    made, others = cluster(2, 2)
    made.lost("f1", "gone")
    claimed_by(reign(9), others["f0"])
    made.lost("f0", "gone")
    exchange(made, "f0", others["f0"])
    assert made.state is LeaderState.DEPOSED
    assert made.force_start() == ["f1"]
    with pytest.raises(NothingToForce, match="still asking f0"):
        made.force_start()


def test_a_state_is_taken_over_even_where_the_reign_ends_before_it_is_durable() -> None:
    made, others = cluster()
    wrote(made)
    talk(made, others)
    taker = leader()
    while taker.state_text != "taking over":
        for address, other in others.items():
            exchange(taker, address, other)
    while taker.state_text != "starting":
        message = taker.next_message("f0", 0.0)
        assert message is not None
        taker.receive("f0", message, handle(others["f0"], message), 0.0)
    exchange(taker, "f1", claimed_by(reign(9), others["f1"]), 1.0)
    assert taker.state is LeaderState.DEPOSED
    assert taker.log.map.get("k") is not None, "memory is what the disk is"


# Followers that the leader does not know


def test_an_unknown_follower_waits_until_a_known_one_has_vouched() -> None:
    made, others = cluster()
    wrote(made)
    talk(made, others)
    others["f0"] = empty("new")
    made.lost("f0", "gone")
    exchange(made, "f0", others["f0"])
    assert (made.followers["f0"].stage, made.problem) == (Stage.UNKNOWN, None)
    naming = made.log.replication_log[3]
    assert naming.members == {"f0": "new", "f1": "n1"}
    assert made.promise.members == {"f0": "n0", "f1": "n1"}
    assert made.next_message("f0", 0.4) is None
    assert isinstance(made.next_message("f0", 0.6), Hello), "it is greeted only"
    assert others["f0"].promise.reign is None
    exchange(made, "f1", others["f1"])
    assert made.promise.members == naming.members
    talk(made, others)
    assert others["f0"].log.last == made.log.replication_log.last
    assert made.replicas(3) == 2


def test_an_address_where_nodes_come_and_go_is_named_now_and_then() -> None:
    made, _ = cluster()
    before = made.log.last_index
    for number, now_s in enumerate([0.0, 0.1, 0.2, 1.0]):
        made.lost("f0", "gone")
        exchange(made, "f0", empty(f"new{number}"), now_s)
        assert made.followers["f0"].stage is Stage.UNKNOWN
    assert made.log.last_index == before + 2
    assert made.log.replication_log[made.log.last_index].members == {"f0": "new3", "f1": "n1"}


def test_a_known_follower_vouches_with_what_was_sent_after_the_meeting() -> None:
    made, others = cluster()
    wrote(made)
    earlier = made.next_message("f1", 0.0)
    assert earlier is not None
    made.lost("f0", "gone")
    exchange(made, "f0", empty("new"))
    made.receive("f1", earlier, handle(others["f1"], earlier), 0.0)
    assert made.promise.members == {"f0": "n0", "f1": "n1"}
    exchange(made, "f1", others["f1"])
    assert made.promise.members == {"f0": "new", "f1": "n1"}


def test_a_follower_that_is_back_at_its_address_is_named_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kvstore.core.reign.NAMING_PAUSE_S", 0.0)
    made, others = cluster()
    made.lost("f0", "gone")
    exchange(made, "f0", empty("new"))
    assert made.log.replication_log.members == {"f0": "new", "f1": "n1"}
    made.lost("f0", "gone")
    talk(made, others)
    assert made.promise.members == {"f0": "n0", "f1": "n1"}
    assert others["f1"].log.members == {"f0": "n0", "f1": "n1"}


def test_an_unknown_follower_of_a_restarted_leader_waits_too() -> None:
    made, others = cluster()
    again = leader(kept(made))
    others["f0"] = empty("new")
    talk(again, {"f0": others["f0"]})
    assert again.followers["f0"].stage is Stage.UNKNOWN
    talk(again, others)
    assert others["f0"].promise.reign == again.reign


@pytest.mark.parametrize("followers", [1, 2])
def test_where_nobody_known_answers_an_operator_decides(followers: int) -> None:
    made, others = cluster(followers)
    wrote(made)
    talk(made, others)
    for address in others:
        made.lost(address, "gone")
    others["f0"] = empty("new")
    exchange(made, "f0", others["f0"])
    assert "f0: unknown to this leader, and no follower that it knows answers" in (
        made.problem or ""
    )
    assert not made.ready
    others = {"f0": others["f0"]}
    assert made.force_start() == ["f1"][: followers - 1]
    talk(made, others)
    assert made.ready
    assert others["f0"].map.get("k") is not None, "its own state is a candidate"
    assert (made.promise.epoch >= 1000) == (followers > 1)


def test_the_first_follower_ever_counts_at_once_and_vouches_for_the_next() -> None:
    made = leader(led())
    others = {"f0": empty("n0"), "f1": empty("n1")}
    exchange(made, "f0", others["f0"])
    assert made.promise.members == {"f0": "n0"}
    assert says(made, "f0", others["f0"], 2) == [Hello, Claim]
    exchange(made, "f1", others["f1"])
    assert made.followers["f1"].stage is Stage.UNKNOWN
    talk(made, others)
    assert made.promise.members == {"f0": "n0", "f1": "n1"}


def test_followers_that_have_changed_places_count() -> None:
    made, others = cluster(2, 2)
    for address in others:
        made.lost(address, "gone")
    others = {"f0": others["f1"], "f1": others["f0"]}
    talk(made, others)
    index = wrote(made)
    talk(made, others)
    assert made.log.commit_index == index
    assert made.promise.members == {"f0": "n1", "f1": "n0"}


def test_a_known_follower_that_moved_counts_from_the_entry_that_names_it() -> None:
    made, others = cluster()
    for address in others:
        made.lost(address, "gone")
    moved = others["f1"]
    for now_s in (0.0, 1.0):  # the entry that names it is not durable yet
        message = made.next_message("f0", now_s)
        assert message is not None
        made.receive("f0", message, handle(moved, message), now_s)
    assert made.followers["f0"].match_index == 1
    assert made.replicas(1) == 0
    save(made)
    exchange(made, "f0", moved)
    assert made.replicas(1) == 1


def test_a_follower_of_another_cluster_that_holds_nothing_is_taken_in() -> None:
    other = Follower(NodeState("n0", Promise("other", R1, URL)), 1000, 1 << 20)
    talk(leader(led(reign(2), {"f0": "n0"}), 1), {"f0": other})
    assert other.promise.cluster_id == CLUSTER


# An old copy


@pytest.mark.parametrize("leads", [False, True])
def test_an_old_copy_is_no_leader_from_its_own_state(leads: bool) -> None:
    made, others = cluster()
    old = kept(made)
    wrote(made, "kept")
    exchange(made, "f1", others["f1"])
    again = leader(old)
    if leads:
        talk(again, {"f0": others["f0"]})
        assert again.ready
    exchange(again, "f1", others["f1"])
    assert again.state is LeaderState.TAKEOVER
    assert not again.promise.has_led, "also after a restart"
    talk(again, others)
    assert again.ready
    assert again.promise.epoch == made.promise.epoch + 1
    assert again.log.map.get("kept") is not None
    assert others["f0"].map.digest() == others["f1"].map.digest() == again.log.map.digest()


def test_entries_of_an_earlier_epoch_are_no_sign_of_an_old_copy() -> None:
    made, others = cluster()
    taker = leader()
    exchange(taker, "f0", others["f0"])
    taker.lost("f1", "gone")
    taker.force_start()
    save(taker)
    talk(taker, {"f0": others["f0"]})
    wrote(made)
    exchange(made, "f1", others["f1"])
    talk(taker, others)
    assert taker.state is LeaderState.LEADING


# How a reign ends


@pytest.mark.parametrize(
    "of", [reign(9), reign(1, takeover="t"), reign(1, 9, "t")], ids=["later", "twin", "its restart"]
)
@pytest.mark.parametrize("restarted", [False, True])
def test_a_later_reign_or_a_twin_deposes_for_good(of: ReignId, restarted: bool) -> None:
    made, _ = cluster()
    if restarted:
        made = leader(kept(made))
    other = Follower(NodeState("n0", Promise(made.promise.cluster_id, of, "http://other")), 9, 9)
    made.lost("f0", "gone")
    exchange(made, "f0", other)
    assert made.state is LeaderState.DEPOSED
    assert f"deposed by epoch {of.epoch}, met at f0" in (made.problem or "")
    with pytest.raises(WriteRefused, match="deposed"):
        made.propose(write(), 0.0)
    with pytest.raises(NotReady):
        made.check_readable()
    again = leader(kept(made))
    assert again.state is LeaderState.DEPOSED
    message = again.next_message("f0", 9.0)
    assert isinstance(message, Hello)
    assert message.of_reign is None, "it only wants to know who is there"
    exchange(again, "f0", other, 9.0)
    assert other.promise.reign == of


def test_a_later_reign_deposes_at_a_second_address_of_a_node_too() -> None:
    made, others = cluster()
    made.lost("f1", "gone")
    exchange(made, "f1", claimed_by(reign(9), others["f0"]))
    assert made.state is LeaderState.DEPOSED


def test_a_leader_that_was_replaced_takes_nobody_back_however_often_it_restarts() -> None:
    made, others = cluster()
    taker = leader()
    talk(taker, others)
    again = leader(kept(leader(kept(made))))
    exchange(again, "f0", others["f0"])
    assert again.state is LeaderState.DEPOSED
    assert others["f0"].promise.reign == taker.reign


@pytest.mark.parametrize("gone", [[], ["f1"]])
def test_a_deposed_leader_takes_over_when_it_is_told_to(gone: list[str]) -> None:
    made, others = cluster()
    wrote(made, "mine")
    talk(made, others)
    claimed_by(reign(9), others["f0"])
    exchange(made, "f0", others["f0"], 1.0)
    for address in gone:
        made.lost(address, "gone")
        del others[address]
    assert made.force_start() == gone
    assert made.state is LeaderState.TAKEOVER
    assert made.problem is None
    talk(made, others, 2.0)
    assert made.ready
    assert made.log.map.get("mine") is not None, "its own state is a candidate"
    assert (made.promise.epoch > 1000) == bool(gone)


def test_a_takeover_that_was_ended_asks_its_own_followers_only() -> None:
    made, others = cluster()
    wrote(made)
    exchange(made, "f1", others["f1"])
    taker = leader(followers=1)
    while taker.state_text != "claiming":
        for address in list(taker.followers):
            exchange(taker, address, others[address])
    exchange(taker, "f0", claimed_by(reign(9), others["f0"]), 1.0)
    assert taker.state is LeaderState.DEPOSED
    assert list(taker.followers) == ["f0"]


def test_a_leader_in_force_has_nothing_to_decide() -> None:
    made, _ = cluster()
    for keep in (None, "f0"):
        with pytest.raises(NothingToForce):
            made.force_start(keep)
