"""How a takeover fetches the best state, starts over, ends, and is forced."""

from collections.abc import Callable

import pytest
from msgspec import UNSET, Raw, structs

from kvstore.core.entries import MAX_EPOCH, Item, Position, ReignId
from kvstore.core.errors import Deposed, NothingToForce
from kvstore.core.lineage import ReignStart
from kvstore.core.messages import Fetch, Hello, Refusal
from kvstore.core.node_state import NodeState
from kvstore.core.records import StageParts
from kvstore.core.takeover import Phase
from tests.support.replication import (
    at,
    first_entry,
    handle,
    put,
    reign,
)
from tests.support.takeover_talk import (
    LONG,
    R3,
    R9,
    SHORT,
    Talk,
    looked,
    make_node,
    make_unequal_talk,
    own_state,
)

# Fetching


def test_state_is_fetched_in_parts() -> None:
    held = [first_entry(1, R3), put(2, "a", of=R3), put(3, "b", of=R3, request="once")]
    best = make_node("na", held, message_entries=2)
    best.commit_index = 2
    talk = Talk(best).until(Phase.FETCHING)
    offsets = []
    while talk.phase is Phase.FETCHING:
        assert talk.takeover.taken is None
        message = talk.say("a")
        assert isinstance(message, Fetch)
        offsets.append(message.offset)
    assert offsets == [0, 2, 3, 5]
    taken = talk.takeover.taken
    assert taken is not None
    assert (taken.position, taken.base) == (at(3, R3), Position(0, 0))
    assert talk.takeover.commit_index == 2
    assert (taken.entries, taken.lineage) == (held, best.log.lineage)
    state = NodeState("l")
    for record in (*talk.saved, taken):
        state.apply(record)
    assert state.map.digest() == best.map.digest()
    assert state.map.requests.requests() == best.map.requests.requests()
    parts = [record for record in talk.saved if isinstance(record, StageParts)]
    assert {record.staging_id for record in parts} == {taken.staging_id}
    assert [len(record.items) for record in parts] == [2, 0, 0, 0]


# What makes it start over, and what ends it


def replaced(address: str) -> Callable[[Talk], None]:
    """Another node answers there from now on."""

    def replace(talk: Talk) -> None:
        talk.others[address] = make_node("emptied", of=None)
        message = talk.next(address) or Hello(epoch=0, reign_id="")
        talk.hear(address, message, handle(talk.others[address], message))

    return replace


def says(address: str, **changes: object) -> Callable[[Talk], object]:
    return lambda talk: talk.say(address, **changes)


def reconnects_to_another_node(talk: Talk) -> None:
    hello = Hello(epoch=0, reign_id="")
    talk.hear("a", hello, handle(make_node("emptied", of=None), hello))


def says_another_total(talk: Talk) -> None:
    talk.say("a", entries=[], total=9)
    talk.say("a", total=8)


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        pytest.param(Phase.CLAIMING, replaced("b"), id="claimed another node"),
        pytest.param(Phase.CLAIMING, says("b", error=Refusal.REIGN_CHANGED), id="claim refused"),
        pytest.param(Phase.CHECKING, replaced("b"), id="replaced after its claim"),
        pytest.param(Phase.CHECKING, says("b", last_index=3), id="another position"),
        pytest.param(
            Phase.CHECKING, says("b", epoch=3, reign_id="r3", takeover_id="r3"), id="left"
        ),
        pytest.param(Phase.FETCHING, lambda talk: talk.lose("a"), id="the best is lost"),
        pytest.param(Phase.FETCHING, replaced("a"), id="the best is replaced"),
        pytest.param(Phase.FETCHING, reconnects_to_another_node, id="reconnects to another"),
        pytest.param(Phase.FETCHING, says("a", error="no"), id="fetch refused"),
        pytest.param(Phase.FETCHING, says("a", last_index=6), id="fetched another position"),
        pytest.param(Phase.FETCHING, says_another_total, id="another total"),
    ],
)
def test_it_starts_over_under_a_higher_epoch(phase: Phase, event: Callable[[Talk], object]) -> None:
    talk = make_unequal_talk().until(phase)
    event(talk)
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["a", "b"])
    assert talk.takeover.taken is None
    talk.others = {"a": make_node("na", LONG), "b": make_node("nb", SHORT)}
    looked(talk)
    assert (talk.phase, talk.takeover.promise.epoch) == (Phase.CLAIMING, 5)
    assert talk.next("a") is None, "the new promise is not saved yet"


GAP = [first_entry(1, R3), put(3, of=R3)]


@pytest.mark.parametrize(
    "changes",
    [
        {"items": [Item("k", 999, Raw(b"1"))], "total": 99},
        {"items": [], "total": 99},
        {"items": [], "entries": GAP, "total": 99},
        {"items": [], "entries": [first_entry(1, R9)], "total": 99},
        {"items": [], "entries": [first_entry(1, R3)], "total": 1},
        {
            "items": [],
            "entries": [first_entry(1, R3), structs.replace(LONG[1], value=UNSET)],
            "total": 9,
        },
        {"items": [], "entries": LONG, "base_index": 5, "total": 99},
    ],
    ids=["future", "nothing", "gap", "another reign", "short", "no value", "no base"],
)
def test_state_that_makes_no_sense_is_not_saved(changes: dict[str, object]) -> None:
    talk = make_unequal_talk().until(Phase.FETCHING)
    talk.say("a", **changes)
    assert talk.phase is Phase.LOOKING
    assert "gave an invalid answer" in (talk.takeover.problem or "")
    assert [record for record in talk.saved if isinstance(record, StageParts)] == []
    assert talk.next("a") is None, "not at once"


def test_lineage_that_makes_no_sense_is_not_a_candidate() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    talk.say("a", lineage=[ReignStart(R9, 1)])
    assert talk.phase is Phase.LOOKING
    assert "gave an invalid answer" in (talk.takeover.problem or "")


@pytest.mark.parametrize("others", [R3, None], ids=["beside others", "alone"])
def test_absurd_epoch_is_not_surpassed(others: ReignId | None) -> None:
    talk = Talk(make_node("na", of=reign(MAX_EPOCH)), make_node("nb", of=others))
    looked(talk)
    assert talk.phase is Phase.LOOKING
    assert f"the epoch of a, {MAX_EPOCH}, is implausibly high" in (talk.takeover.problem or "")


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.CHECKING, Phase.FETCHING])
def test_other_followers_may_come_and_go_meanwhile(phase: Phase) -> None:
    talk = make_unequal_talk().until(phase)
    talk.lose("b")
    assert talk.phase is phase
    talk.until(Phase.DONE)


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.CHECKING, Phase.FETCHING])
@pytest.mark.parametrize("of", [R9, reign(4, takeover="t")], ids=["later", "twin"])
def test_a_later_reign_or_a_twin_ends_it(phase: Phase, of: ReignId) -> None:
    talk = make_unequal_talk().until(phase)
    with pytest.raises(Deposed, match=f"epoch {of.epoch}, met at a"):
        talk.say("a", epoch=of.epoch, reign_id=of.id, takeover_id=of.takeover_id, error="no")


@pytest.mark.parametrize(
    ("state", "forced", "ends"),
    [
        (own_state(of=R3, is_own=True), False, True),
        (own_state(of=R3, is_own=True), True, False),
        (own_state(of=R3), False, False),
        (own_state(), False, False),
    ],
)
def test_only_a_leader_can_be_replaced_while_it_looks(
    state: NodeState, forced: bool, ends: bool
) -> None:
    talk = Talk(make_node("na", of=R9), state=state, forced=forced)
    if ends:
        with pytest.raises(Deposed):
            talk.say("a")
    else:
        talk.until(Phase.CLAIMING)
        assert talk.takeover.promise.epoch == 10


def test_answer_to_an_earlier_attempt_is_not_heard() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    late = talk.next("a")
    assert late is not None
    heard = handle(talk.others["a"], late)
    talk.say("b", error=Refusal.REIGN_CHANGED)
    talk.say("a")
    talk.say("b")
    talk.hear("a", late, heard)
    assert talk.takeover.waiting_for == ["a", "b"]


def test_what_it_has_come_to_is_not_taken_back_while_it_is_saved() -> None:
    talk = make_unequal_talk().until(Phase.DONE)
    taken = talk.takeover.taken
    replaced("a")(talk)
    assert (talk.phase, talk.takeover.taken) == (Phase.DONE, taken)


# Forced


@pytest.mark.parametrize("phase", [Phase.LOOKING, Phase.CLAIMING])
def test_forced_start_without_any_follower_goes_on(phase: Phase) -> None:
    talk = make_unequal_talk().until(phase)
    talk.lose("a")
    talk.lose("b")
    assert talk.takeover.force(None) == ["a", "b"]
    assert talk.phase is Phase.DONE
    assert talk.takeover.promise.members == {}


@pytest.mark.parametrize("phase", [Phase.LOOKING, Phase.CLAIMING, Phase.CHECKING])
def test_who_has_not_been_asked_in_vain_is_not_missing(phase: Phase) -> None:
    talk = make_unequal_talk().until(phase)
    with pytest.raises(NothingToForce, match="still asking a, b"):
        talk.takeover.force(None)
    talk.lose("b")
    assert talk.takeover.force(None) == ["b"]


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.CHECKING])
def test_forced_start_in_the_middle_looks_again_without_the_missing(phase: Phase) -> None:
    talk = make_unequal_talk().until(phase)
    talk.say("b")
    talk.lose("a")
    assert talk.takeover.force(None) == ["a"]
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["b"])
    talk.say("b")
    assert talk.phase is Phase.CLAIMING
    assert talk.takeover.promise.epoch >= 1004


def test_missing_follower_that_returns_in_time_takes_part() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    talk.say("b")
    talk.lose("a")
    talk.takeover.force(None)
    talk.say("a")
    talk.say("b")
    talk.takeover.promise_saved = True
    talk.say("b")
    assert talk.takeover.waiting_for == ["a"]
    assert talk.takeover.promise.epoch < 1000, "nobody is missing"
