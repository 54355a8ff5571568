"""How a leader without state of its own begins a reign: whom it asks, and what it keeps."""

import pytest

from kvstore.core.entries import Entry, Members, ReignId
from kvstore.core.errors import NothingToForce
from kvstore.core.follower import Follower
from kvstore.core.messages import Claim
from kvstore.core.node_state import NodeState
from kvstore.core.records import Promise
from kvstore.core.survey import SELF
from kvstore.core.takeover import Phase
from tests.support.replication import (
    R1,
    R2,
    URL,
    append,
    at,
    entries,
    first_entry,
    make_state,
    naming_entry,
    put,
    reign,
)
from tests.support.takeover_talk import (
    EARLIER,
    EMPTY,
    LONG,
    R3,
    R9,
    SHORT,
    TWINS,
    UNSENT,
    Talk,
    looked,
    make_node,
    make_unequal_talk,
    own_state,
)

# Looking and claiming


def test_nothing_is_claimed_before_all_have_answered_and_the_promise_is_saved() -> None:
    talk = make_unequal_talk()
    talk.say("a")
    assert talk.takeover.waiting_for == ["b"]
    assert talk.next("a") is None
    talk.say("b")
    assert talk.phase is Phase.CLAIMING
    assert [talk.next("a"), talk.next("b")] == [None, None]
    talk.takeover.promise_saved = True
    claims = [talk.next("a"), talk.next("b")]
    assert all(isinstance(each, Claim) and each.of_reign is not None for each in claims)


def test_a_claim_names_its_node_the_reign_found_and_all_followers() -> None:
    talk = Talk(make_node("na", of=R1)).until(Phase.CLAIMING)
    first, second = talk.next("a"), talk.next("b")
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert (first.node_id, first.found_reign_id) == ("na", R1.id)
    assert (second.node_id, second.found_reign_id) == ("nb", R3.id)
    assert first.members == talk.takeover.promise.members == {"a": "na", "b": "nb"}


@pytest.mark.parametrize(
    ("mine", "found", "epoch"),
    [(None, (None, None), 1), (None, (None, R9), 10), (reign(20), (R3, R9), 21)],
)
def test_epoch_is_above_every_epoch_found(
    mine: ReignId | None, found: tuple[ReignId | None, ReignId | None], epoch: int
) -> None:
    a, b = found
    talk = Talk(make_node("na", of=a), make_node("nb", of=b), own_state(of=mine)).until(
        Phase.CLAIMING
    )
    made = talk.takeover.promise.reign
    assert made is not None
    assert (made.epoch, made.restart, made.takeover_id) == (epoch, 0, made.id)


def belonging(node_id: str, cluster: str | None, *, bound: bool) -> NodeState:
    promise = Promise(cluster, None if cluster is None else R3, URL)
    return make_state(node_id, *(entries(2, of=R3) if bound else []), promise=promise)


@pytest.mark.parametrize(
    ("mine", "found", "cluster"),
    [
        ((None, False), (None, False), "id1"),
        ((None, False), ("theirs", False), "theirs"),
        (("mine", False), (None, False), "mine"),
        (("mine", False), ("theirs", False), "mine"),
        (("mine", False), ("theirs", True), "theirs"),
        (("mine", True), ("theirs", False), "mine"),
        (("mine", True), ("theirs", True), None),
    ],
)
def test_a_cluster_is_adopted_unless_two_are_bound(
    mine: tuple[str | None, bool], found: tuple[str | None, bool], cluster: str | None
) -> None:
    theirs = Follower(belonging("na", found[0], bound=found[1]), 1000, 1 << 20)
    state = belonging("l", mine[0], bound=mine[1])
    talk = looked(Talk(theirs, make_node("nb", of=None), state, forced=True))
    if cluster is None:
        assert talk.phase is Phase.LOOKING
        assert "different clusters: mine, theirs" in (talk.takeover.problem or "")
    else:
        assert (talk.phase, talk.takeover.promise.cluster_id) == (Phase.CLAIMING, cluster)


@pytest.mark.parametrize("twin", ["na", "l"])
def test_node_that_answers_twice_is_one(twin: str) -> None:
    talk = looked(Talk(make_node("na"), make_node(twin)))
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["b"])
    assert "are one node" in (talk.takeover.problem or "")


def test_follower_that_is_lost_while_looking_is_looked_at_again() -> None:
    talk = Talk()
    talk.say("a")
    talk.lose("a")
    talk.say("b")
    assert talk.takeover.waiting_for == ["a"]


# Nodes that are named


KNOWN = {"a": "na", "b": "nb", "old": "n-old"}


def test_a_named_node_is_waited_for_claimed_and_fetched_from() -> None:
    best = make_node("n-old", entries(9, of=R3))
    talk = looked(Talk(make_node("na", [first_entry(1, R3, KNOWN), put(2, of=R3)]), old=best))
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["old"])
    talk.until(Phase.FETCHING)
    assert best.promise.reign == talk.takeover.promise.reign
    assert talk.takeover.promise.members == KNOWN
    assert talk.takeover.waiting_for == ["old"]
    talk.until(Phase.DONE)
    assert talk.takeover.taken is not None
    assert talk.takeover.taken.position == at(9, R3)


@pytest.mark.parametrize(
    ("members", "others"),
    [
        pytest.param({"old": "nb"}, {}, id="its id answers elsewhere"),
        pytest.param({"b": "n-old"}, {}, id="another node answers at its address"),
        pytest.param({"leader:1": "n-old"}, {}, id="the leader itself is there now"),
        pytest.param(
            {"old": "n-old"}, {"old": make_node("new", of=None)}, id="another node, asked"
        ),
        pytest.param({"old": "n-old"}, {"old": make_node("na")}, id="a node known already, asked"),
    ],
)
def test_a_named_node_is_no_longer_waited_for(
    members: Members, others: dict[str, Follower]
) -> None:
    talk = Talk(make_node("na", members=members))
    talk.others |= others
    looked(talk)
    for address in others:
        talk.say(address)
    assert talk.phase is Phase.CLAIMING


def test_an_address_that_led_elsewhere_is_asked_again_before_a_state_is_chosen() -> None:
    best = make_node("n-old", entries(9, of=R3))
    talk = looked(Talk(make_node("na", members=KNOWN), old=make_node("na")))
    talk.say("old")
    talk.until(Phase.CHECKING)
    looked(talk)
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.CHECKING, ["old"])
    talk.others["old"] = best
    talk.say("old")
    assert talk.phase is Phase.LOOKING
    talk.until(Phase.DONE)
    assert talk.takeover.taken is not None
    assert talk.takeover.taken.position == at(9, R3)


def test_an_address_that_still_leads_elsewhere_is_no_follower() -> None:
    talk = looked(Talk(make_node("na", members=KNOWN), old=make_node("na")))
    talk.say("old")
    talk.until(Phase.DONE)
    assert list(talk.progress) == ["a", "b"]


def test_only_the_newest_epoch_names_those_that_count() -> None:
    talk = looked(Talk(make_node("na", of=R2, members={"old": "n-old"}), make_node("nb", of=R3)))
    assert talk.phase is Phase.CLAIMING


def test_its_own_state_names_nodes_too() -> None:
    state = own_state(first_entry(1, R3, {"old": "n-old"}), of=R3)
    talk = looked(Talk(state=state))
    assert talk.takeover.waiting_for == ["old"]


def test_a_node_named_between_look_and_claim_is_asked() -> None:
    first, late = make_node("na", entries(3, of=R3)), make_node("late")
    talk = Talk(first, late=late).until(Phase.CLAIMING)
    noop = naming_entry(4, {"late": "late"}, R3)
    assert first.append(append(noop, prev=at(3, R3), of=R3)).error is None
    assert looked(talk).phase is Phase.LOOKING
    assert looked(talk).takeover.waiting_for == ["late"]
    talk.until(Phase.DONE)
    assert late.promise.reign == talk.takeover.promise.reign


def test_a_node_that_changed_places_with_another_is_asked_where_it_is_now() -> None:
    names = {"a": "n-old", "old": "nb"}
    talk = looked(Talk(make_node("nb", members=names), make_node("nc")))
    assert talk.takeover.waiting_for == ["old"], "nb is at a, so n-old may be at nb's old place"


def test_those_that_the_last_attempt_named_are_asked_by_the_next() -> None:
    third = make_node("n-old", entries(7, of=R3))
    talk = Talk(make_node("na", members=KNOWN), old=third).until(Phase.CLAIMING)
    talk.others["a"] = make_node("emptied", of=None)
    talk.say("a")
    assert talk.phase is Phase.LOOKING
    looked(talk)
    assert talk.takeover.waiting_for == ["old"]


# A directory that remembers what nobody else does


def test_a_directory_that_remembers_alone_needs_an_operator() -> None:
    state = own_state(*entries(3, of=R3), of=R3)
    talk = looked(Talk(make_node("na", of=None), make_node("nb", of=None), state))
    assert talk.phase is Phase.LOOKING
    assert "remembers epoch 3, but no follower remembers any" in (talk.takeover.problem or "")
    assert talk.takeover.force(None) == []
    talk.until(Phase.DONE)
    assert talk.takeover.taken is None, "its own state is the best"
    assert talk.takeover.promise.epoch == 4, "nobody is missing, so nothing is skipped"


@pytest.mark.parametrize(
    ("epoch", "is_own", "claims"), [(1, True, True), (1, False, False), (2, True, False)]
)
def test_its_own_first_takeover_is_no_memory(epoch: int, is_own: bool, claims: bool) -> None:
    state = own_state(of=reign(epoch), is_own=is_own)
    talk = looked(Talk(make_node("na", of=None), make_node("nb", of=None), state))
    assert (talk.phase is Phase.CLAIMING) == claims


# Choosing


@pytest.mark.parametrize(
    ("mine", "a", "b", "best"),
    [
        pytest.param(EMPTY, EMPTY, EMPTY, SELF, id="nothing"),
        pytest.param(EMPTY, LONG, SHORT, "a", id="the longest"),
        pytest.param(EMPTY, EARLIER, SHORT, "b", id="the highest epoch"),
        pytest.param(EMPTY, EMPTY, SHORT, "b", id="something"),
        pytest.param(LONG, SHORT, SHORT, SELF, id="its own, where it is the longest"),
        pytest.param(LONG, LONG, SHORT, SELF, id="its own, where it is as good"),
        pytest.param(SHORT, LONG, SHORT, "a", id="another, where its own is an old copy"),
        pytest.param(UNSENT, LONG, SHORT, "a", id="the lower restart at the fork"),
        pytest.param(LONG, TWINS, SHORT, None, id="nothing says which"),
    ],
)
def test_the_best_state_is_kept_or_fetched(
    mine: list[Entry], a: list[Entry], b: list[Entry], best: str | None
) -> None:
    talk = Talk(make_node("na", a), make_node("nb", b), own_state(*mine, of=R3))
    talk.until({SELF: Phase.DONE, None: Phase.UNDECIDED}.get(best, Phase.FETCHING))
    assert talk.takeover.taken is None
    assert talk.takeover.waiting_for == ([best] if best in ("a", "b") else [])


@pytest.mark.parametrize(("keep", "phase"), [("a", Phase.FETCHING), (SELF, Phase.DONE)])
def test_an_operator_decides_between_two_histories(keep: str, phase: Phase) -> None:
    talk = Talk(make_node("na", TWINS), make_node("nb", SHORT), own_state(*LONG, of=R3)).until(
        Phase.UNDECIDED
    )
    assert "self, a, b" in (talk.takeover.problem or "")
    for choice in (None, "nobody"):
        with pytest.raises(NothingToForce):
            talk.takeover.force(choice)
    assert talk.takeover.force(keep) == []
    assert (talk.phase, talk.takeover.problem) == (phase, None)


def test_a_choice_where_there_is_none_is_refused() -> None:
    with pytest.raises(NothingToForce, match="no two histories"):
        make_unequal_talk().takeover.force("a")


def test_position_at_the_claim_counts_not_the_one_seen_before() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    more = append(*LONG[4:], *(put(8, of=R3), put(9, of=R3)), prev=at(4, R3), of=R3)
    assert talk.others["b"].append(more).error is None  # the old leader was still there
    talk.until(Phase.FETCHING)
    assert talk.takeover.waiting_for == ["b"]
