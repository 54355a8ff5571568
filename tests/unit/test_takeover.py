"""How a leader without state of its own begins a reign: whom it asks, and what it keeps."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from msgspec import UNSET, Raw, structs

from kvstore.core.entries import MAX_EPOCH, START, Entry, Item, Members, ReignId
from kvstore.core.errors import Deposed, NothingToForce
from kvstore.core.follower import Follower
from kvstore.core.lineage import ReignStart
from kvstore.core.messages import Answer, Claim, Fetch, Hello, Message, Refusal
from kvstore.core.node_state import NodeState
from kvstore.core.progress import FollowerProgress
from kvstore.core.records import Promise, Record, StageParts
from kvstore.core.survey import SELF, OwnState
from kvstore.core.takeover import Phase, Takeover
from tests.support.replication import (
    CLUSTER,
    R1,
    R2,
    URL,
    append,
    at,
    entries,
    first_entry,
    handle,
    make_state,
    naming_entry,
    put,
    reign,
)

R3, R9 = reign(3), reign(9)
RESTART = reign(3, 5)
TWIN = reign(3, takeover="t")
EMPTY: list[Entry] = []
SHORT, LONG = entries(4, of=R3), entries(7, of=R3)
EARLIER = entries(9, of=R1)
TWINS = entries(9, of=TWIN)
UNSENT = [*SHORT, first_entry(5, RESTART), put(6, of=RESTART), put(7, of=RESTART)]


def kept(
    node: str, held: Iterable[Entry] = (), of: ReignId | None = None, **promise: Any
) -> NodeState:
    """What a node that belongs to a reign, or to none, kept."""
    made = Promise(CLUSTER, of, URL, **promise) if of else Promise()
    return make_state(node, *held, promise=made)


def make_node(
    node: str, held: Iterable[Entry] = (), of: ReignId | None = R3, **promise: Any
) -> Follower:
    return Follower(kept(node, held, of, **promise), 1000, 1 << 20, message_entries=2)


class Talk:
    """A takeover among the followers a and b, and what is said.

    :param others: nodes at a and b, and elsewhere.
    :param state: of the leader.
    """

    def __init__(
        self, state: NodeState | None = None, *, forced: bool = False, **others: Follower
    ) -> None:
        self.others = {"a": make_node("na"), "b": make_node("nb"), **others}
        self.progress = {address: FollowerProgress(address) for address in "ab"}
        self.saved: list[Record] = []
        state = state or kept("l")
        mine = OwnState.of(state, URL)
        ids = iter(f"id{number}" for number in range(1000))
        self.takeover = Takeover(
            state.promise, mine, self.progress, lambda: next(ids), self.saved.append, forced=forced
        )

    @property
    def phase(self) -> Phase:
        return self.takeover.phase

    @property
    def problem(self) -> str:
        return self.takeover.problem or ""

    def next(self, address: str) -> Message | None:
        message = self.takeover.next_message(self.progress[address], 0.0)
        if message is not None:
            self.progress[address].last_sent_s = 0.0
        return message

    def hear(self, address: str, message: Message, heard: Answer) -> None:
        self.progress[address].answered(heard, 0.0)
        self.takeover.receive(self.progress[address], message, heard)

    def say(self, address: str, **changes: object) -> Message:
        """Say one thing and hear the answer, with some of it changed."""
        message = self.next(address)
        assert message is not None, f"nothing to say to {address}"
        heard = handle(self.others[address], message)
        self.hear(address, message, structs.replace(heard, **changes))
        return message

    def look(self) -> "Talk":
        """Hear what the followers hold."""
        self.say("a")
        self.say("b")
        return self

    def lose(self, *addresses: str) -> None:
        for address in addresses:
            self.progress[address].lost("gone")
            self.takeover.lost(self.progress[address])

    def until(self, phase: Phase) -> "Talk":
        for _ in range(20):
            for address in list(self.progress):
                if self.phase is phase:
                    self.takeover.promise_saved = True
                    return self
                message = self.next(address)
                if message is not None:
                    self.hear(address, message, handle(self.others[address], message))
            self.takeover.promise_saved = True
        raise AssertionError(f"it is {self.phase}: {self.problem}")


def make_unequal_talk() -> Talk:
    """The follower at a holds more than the one at b."""
    return Talk(a=make_node("na", LONG), b=make_node("nb", SHORT))


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
    talk = Talk(a=make_node("na", of=R1)).until(Phase.CLAIMING)
    first, second = talk.next("a"), talk.next("b")
    assert isinstance(first, Claim)
    assert isinstance(second, Claim)
    assert (first.node_id, first.found_reign_id) == ("na", R1.id)
    assert (second.node_id, second.found_reign_id) == ("nb", R3.id)
    assert first.members == talk.takeover.promise.members == {"a": "na", "b": "nb"}


@pytest.mark.parametrize(
    ("mine", "a", "b", "epoch"),
    [(None, None, None, 1), (None, None, R9, 10), (reign(20), R3, R9, 21)],
)
def test_epoch_is_above_every_epoch_found(
    mine: ReignId | None, a: ReignId | None, b: ReignId | None, epoch: int
) -> None:
    talk = Talk(kept("l", of=mine), a=make_node("na", of=a), b=make_node("nb", of=b))
    made = talk.until(Phase.CLAIMING).takeover.promise.reign
    assert made is not None
    assert (made.epoch, made.restart, made.takeover_id) == (epoch, 0, made.id)


@pytest.mark.parametrize("others", [R3, None], ids=["beside others", "alone"])
def test_absurd_epoch_is_not_surpassed(others: ReignId | None) -> None:
    talk = Talk(a=make_node("na", of=reign(MAX_EPOCH)), b=make_node("nb", of=others)).look()
    assert talk.phase is Phase.LOOKING
    assert f"the epoch of a, {MAX_EPOCH}, is implausibly high" in talk.problem


@pytest.mark.parametrize(
    ("mine", "found", "cluster"),
    [
        ((None, 0), (None, 0), "id1"),
        ((None, 0), ("theirs", 0), "theirs"),
        (("mine", 0), (None, 0), "mine"),
        (("mine", 0), ("theirs", 0), "mine"),
        (("mine", 0), ("theirs", 2), "theirs"),
        (("mine", 2), ("theirs", 0), "mine"),
        (("mine", 2), ("theirs", 2), None),
    ],
)
def test_a_cluster_is_adopted_unless_two_are_bound_by_entries(
    mine: tuple[str | None, int], found: tuple[str | None, int], cluster: str | None
) -> None:
    def belonging(node: str, cluster: str | None, last: int) -> NodeState:
        promise = Promise(cluster, R3 if cluster else None, URL)
        return make_state(node, *(entries(last, of=R3) if last else []), promise=promise)

    theirs = Follower(belonging("na", *found), 1000, 1 << 20)
    talk = Talk(belonging("l", *mine), forced=True, a=theirs, b=make_node("nb", of=None)).look()
    if cluster is None:
        assert talk.phase is Phase.LOOKING
        assert "different clusters: mine, theirs" in talk.problem
    else:
        assert (talk.phase, talk.takeover.promise.cluster_id) == (Phase.CLAIMING, cluster)


@pytest.mark.parametrize("twin", ["na", "l"])
def test_node_that_answers_twice_is_one(twin: str) -> None:
    talk = Talk(b=make_node(twin)).look()
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["b"])
    assert "are one node" in talk.problem


def test_follower_that_is_lost_while_looking_is_looked_at_again() -> None:
    talk = Talk()
    talk.say("a")
    talk.lose("a")
    talk.say("b")
    assert talk.takeover.waiting_for == ["a"]


# Nodes that are named


KNOWN = {"a": "na", "b": "nb", "old": "n-old"}
OLD = {"old": "n-old"}


def test_a_named_node_is_waited_for_claimed_and_fetched_from() -> None:
    best = make_node("n-old", entries(9, of=R3))
    talk = Talk(a=make_node("na", [first_entry(1, R3, KNOWN), put(2, of=R3)]), old=best).look()
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["old"])
    talk.until(Phase.FETCHING)
    assert best.promise.reign == talk.takeover.promise.reign
    assert talk.takeover.promise.members == KNOWN
    assert talk.takeover.waiting_for == ["old"]
    talk.until(Phase.DONE)
    assert talk.takeover.taken is not None
    assert talk.takeover.taken.position == at(9, R3)


@pytest.mark.parametrize(
    ("members", "of", "there"),
    [
        pytest.param({"old": "nb"}, R3, None, id="its id answers elsewhere"),
        pytest.param({"b": "n-old"}, R3, None, id="another node answers at its address"),
        pytest.param({"leader:1": "n-old"}, R3, None, id="the leader itself is there now"),
        pytest.param(OLD, R3, make_node("new", of=None), id="another node, asked"),
        pytest.param(OLD, R3, make_node("na"), id="a node known already, asked"),
        pytest.param(OLD, R2, None, id="in an epoch before the newest"),
    ],
)
def test_a_named_node_is_no_longer_waited_for(
    members: Members, of: ReignId, there: Follower | None
) -> None:
    talk = Talk(a=make_node("na", of=of, members=members))
    if there is not None:
        talk.others["old"] = there
    talk.look()
    if there is not None:
        talk.say("old")
    assert talk.phase is Phase.CLAIMING


@pytest.mark.parametrize("returns", [True, False])
def test_an_address_that_led_elsewhere_is_asked_again_before_a_state_is_chosen(
    returns: bool,
) -> None:
    talk = Talk(a=make_node("na", members=KNOWN), old=make_node("na")).look()
    talk.say("old")
    talk.until(Phase.CHECKING)
    talk.look()
    assert (talk.phase, talk.takeover.waiting_for) == (Phase.CHECKING, ["old"])
    if returns:
        talk.others["old"] = make_node("n-old", entries(9, of=R3))
    talk.say("old")
    assert (talk.phase is Phase.LOOKING) == returns
    talk.until(Phase.DONE)
    taken = talk.takeover.taken
    assert (None if taken is None else taken.position) == (at(9, R3) if returns else None)
    assert list(talk.progress) == (["a", "b", "old"] if returns else ["a", "b"])


def test_its_own_state_names_nodes_too() -> None:
    talk = Talk(kept("l", [first_entry(1, R3, OLD)], R3)).look()
    assert talk.takeover.waiting_for == ["old"]


def test_a_node_named_between_look_and_claim_is_asked() -> None:
    first, late = make_node("na", entries(3, of=R3)), make_node("late")
    talk = Talk(a=first, late=late).until(Phase.CLAIMING)
    noop = naming_entry(4, {"late": "late"}, R3)
    assert first.append(append(noop, prev=at(3, R3), of=R3)).error is None
    assert talk.look().phase is Phase.LOOKING
    assert talk.look().takeover.waiting_for == ["late"]
    talk.until(Phase.DONE)
    assert late.promise.reign == talk.takeover.promise.reign


def test_a_node_that_changed_places_with_another_is_asked_where_it_is_now() -> None:
    names = {"a": "n-old", "old": "nb"}
    talk = Talk(a=make_node("nb", members=names), b=make_node("nc")).look()
    assert talk.takeover.waiting_for == ["old"], "nb is at a, so n-old may be at nb's old place"


def test_those_that_the_last_attempt_named_are_asked_by_the_next() -> None:
    talk = Talk(a=make_node("na", members=KNOWN), old=make_node("n-old", LONG))
    talk.until(Phase.CLAIMING).others["a"] = make_node("emptied", of=None)
    talk.say("a")
    assert talk.phase is Phase.LOOKING
    assert talk.look().takeover.waiting_for == ["old"]


# A directory that remembers what nobody else does


def among_emptied(state: NodeState) -> Talk:
    return Talk(state, a=make_node("na", of=None), b=make_node("nb", of=None)).look()


def test_a_directory_that_remembers_alone_needs_an_operator() -> None:
    talk = among_emptied(kept("l", entries(3, of=R3), R3))
    assert talk.phase is Phase.LOOKING
    assert "remembers epoch 3, but no follower remembers any" in talk.problem
    assert talk.takeover.force(None) == []
    talk.until(Phase.DONE)
    assert talk.takeover.taken is None, "its own state is the best"
    assert talk.takeover.promise.epoch == 4, "nobody is missing, so nothing is skipped"


@pytest.mark.parametrize(
    ("epoch", "is_own", "claims"), [(1, True, True), (1, False, False), (2, True, False)]
)
def test_its_own_first_takeover_is_no_memory(epoch: int, is_own: bool, claims: bool) -> None:
    talk = among_emptied(kept("l", of=reign(epoch), is_own=is_own))
    assert (talk.phase is Phase.CLAIMING) == claims


# Choosing


@pytest.mark.parametrize(
    ("mine", "a", "b", "best"),
    [
        pytest.param(EMPTY, EMPTY, EMPTY, SELF, id="nothing"),
        pytest.param(EMPTY, LONG, SHORT, "a", id="the longest"),
        pytest.param(EMPTY, EARLIER, SHORT, "b", id="the highest epoch"),
        pytest.param(LONG, SHORT, SHORT, SELF, id="its own, where it is the longest"),
        pytest.param(LONG, LONG, EMPTY, SELF, id="its own, where it is as good"),
        pytest.param(UNSENT, LONG, SHORT, "a", id="the lower restart at the fork"),
        pytest.param(LONG, TWINS, SHORT, None, id="nothing says which"),
    ],
)
def test_the_best_state_is_kept_or_fetched(
    mine: list[Entry], a: list[Entry], b: list[Entry], best: str | None
) -> None:
    talk = Talk(kept("l", mine, R3), a=make_node("na", a), b=make_node("nb", b))
    talk.until({SELF: Phase.DONE, None: Phase.UNDECIDED}.get(best, Phase.FETCHING))
    assert talk.takeover.taken is None
    assert talk.takeover.waiting_for == ([best] if best in ("a", "b") else [])


@pytest.mark.parametrize(("keep", "phase"), [("a", Phase.FETCHING), (SELF, Phase.DONE)])
def test_an_operator_decides_between_two_histories(keep: str, phase: Phase) -> None:
    talk = Talk(kept("l", LONG, R3), a=make_node("na", TWINS), b=make_node("nb", SHORT))
    with pytest.raises(NothingToForce, match="no two histories"):
        talk.takeover.force(keep)
    talk.until(Phase.UNDECIDED)
    assert "self, a, b" in talk.problem
    for choice in (None, "nobody"):
        with pytest.raises(NothingToForce):
            talk.takeover.force(choice)
    assert talk.takeover.force(keep) == []
    assert (talk.phase, talk.problem) == (phase, "")


def test_position_at_the_claim_counts_not_the_one_seen_before() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    more = append(*LONG[4:], *(put(8, of=R3), put(9, of=R3)), prev=at(4, R3), of=R3)
    assert talk.others["b"].append(more).error is None  # the old leader was still there
    talk.until(Phase.FETCHING)
    assert talk.takeover.waiting_for == ["b"]


# Fetching


def test_state_is_fetched_in_parts() -> None:
    held = [first_entry(1, R3), put(2, "a", of=R3), put(3, "b", of=R3, request="once")]
    best = make_node("na", held)
    best.commit_index = 2
    talk = Talk(a=best).until(Phase.FETCHING)
    offsets = []
    while talk.phase is Phase.FETCHING:
        assert talk.takeover.taken is None
        message = talk.say("a")
        assert isinstance(message, Fetch)
        offsets.append(message.offset)
    assert offsets == [0, 2, 3, 5]
    taken = talk.takeover.taken
    assert taken is not None
    assert (taken.position, taken.base) == (at(3, R3), START)
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


def answer_of(*held: Entry, **changes: object) -> tuple[Phase, dict[str, object]]:
    return Phase.FETCHING, {"items": [], "entries": list(held), "total": 99, **changes}


@pytest.mark.parametrize(
    ("phase", "changes"),
    [
        pytest.param(*answer_of(items=[Item("k", 999, Raw(b"1"))]), id="future"),
        pytest.param(*answer_of(), id="nothing"),
        pytest.param(*answer_of(LONG[0], put(3, of=R3)), id="gap"),
        pytest.param(*answer_of(first_entry(1, R9)), id="another reign"),
        pytest.param(*answer_of(LONG[0], total=1), id="short"),
        pytest.param(
            *answer_of(LONG[0], structs.replace(LONG[1], value=UNSET), total=9), id="no value"
        ),
        pytest.param(*answer_of(*LONG, base_index=5), id="no base"),
        pytest.param(Phase.CLAIMING, {"lineage": [ReignStart(R9, 1)]}, id="lineage"),
    ],
)
def test_state_that_makes_no_sense_is_not_saved(phase: Phase, changes: dict[str, object]) -> None:
    talk = make_unequal_talk().until(phase)
    talk.say("a", **changes)
    assert talk.phase is Phase.LOOKING
    assert "gave an invalid answer" in talk.problem
    assert talk.saved == []
    assert talk.next("a") is None, "not at once"


# What makes it start over, and what ends it


def replaced(address: str, message: Message | None = None) -> Callable[[Talk], None]:
    """Another node answers there from now on.

    :param message: what it answers; None = what is said next.
    """

    def replace(talk: Talk) -> None:
        talk.others[address] = make_node("emptied", of=None)
        said = message or talk.next(address) or Hello(epoch=0, reign_id="")
        talk.hear(address, said, handle(talk.others[address], said))

    return replace


def says(address: str, **changes: object) -> Callable[[Talk], object]:
    return lambda talk: talk.say(address, **changes)


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
        pytest.param(
            Phase.FETCHING, replaced("a", Hello(epoch=0, reign_id="")), id="reconnects to another"
        ),
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
    talk.others = make_unequal_talk().others
    talk.look()
    assert (talk.phase, talk.takeover.promise.epoch) == (Phase.CLAIMING, 5)
    assert talk.next("a") is None, "the new promise is not saved yet"


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
        (kept("l", of=R3, is_own=True), False, True),
        (kept("l", of=R3, is_own=True), True, False),
        (kept("l", of=R3), False, False),
        (kept("l"), False, False),
    ],
)
def test_only_a_leader_can_be_replaced_while_it_looks(
    state: NodeState, forced: bool, ends: bool
) -> None:
    talk = Talk(state, forced=forced, a=make_node("na", of=R9))
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
    talk.look()
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
    talk.lose("a", "b")
    assert talk.takeover.force(None) == ["a", "b"]
    assert talk.phase is Phase.DONE
    assert talk.takeover.promise.members == {}


@pytest.mark.parametrize("phase", [Phase.LOOKING, Phase.CLAIMING, Phase.CHECKING])
def test_forced_start_gives_up_who_was_asked_in_vain_and_looks_again(phase: Phase) -> None:
    talk = make_unequal_talk().until(phase)
    with pytest.raises(NothingToForce, match="still asking a, b"):
        talk.takeover.force(None)
    talk.say("b")
    talk.lose("a")
    assert talk.takeover.force(None) == ["a"]
    if phase is not Phase.LOOKING:
        assert (talk.phase, talk.takeover.waiting_for) == (Phase.LOOKING, ["b"])
        talk.say("b")
    assert talk.phase is Phase.CLAIMING
    assert talk.takeover.promise.epoch >= 1004


def test_missing_follower_that_returns_in_time_takes_part() -> None:
    talk = make_unequal_talk().until(Phase.CLAIMING)
    talk.say("b")
    talk.lose("a")
    talk.takeover.force(None)
    talk.look()
    talk.takeover.promise_saved = True
    talk.say("b")
    assert talk.takeover.waiting_for == ["a"]
    assert talk.takeover.promise.epoch < 1000, "nobody is missing"
