"""How a leader without state of its own begins a reign."""

from collections.abc import Callable

import pytest
from msgspec import Raw, structs

from kvstore.entries import START, Item, Position, Request
from kvstore.messages import Answer, Claim, Fetch, Fetched, Hello, Message
from kvstore.progress import FollowerProgress
from kvstore.records import Promise
from kvstore.takeover import Deposed, Phase, Takeover
from tests.unit.core import put


def answer(node: str, position: Position = START, **changes: object) -> Answer:
    found = Answer(
        node=node,
        cluster="c",
        epoch=3,
        reign="old",
        last_index=position.index,
        last_epoch=position.epoch,
    )
    return structs.replace(found, **changes)


class Talk:
    """A takeover from two followers, and what they say.

    :param positions: of the followers a and b.
    """

    def __init__(self, *positions: Position, promise: Promise | None = None) -> None:
        self.progress = {name: FollowerProgress(name) for name in "ab"}
        self.positions = dict(zip("ab", positions or (START, START), strict=True))
        ids = iter(f"id{number}" for number in range(1000))
        self.takeover = Takeover(
            promise or Promise(),
            list(self.progress.values()),
            "leader",
            "http://l",
            lambda: next(ids),
        )

    def next(self, name: str) -> Message | None:
        message = self.takeover.next_message(self.progress[name], 0.0)
        if message is not None:
            self.progress[name].last_sent_s = 0.0
        return message

    def hear(self, name: str, message: Message, heard: Answer) -> None:
        self.progress[name].answered(heard, 0.0)
        self.takeover.receive(self.progress[name], message, heard)

    def look(self, name: str, node: str | None = None, **changes: object) -> None:
        message = self.next(name)
        assert isinstance(message, Hello)
        heard = answer(node or f"node-{name}", self.positions[name], **changes)
        self.hear(name, message, heard)

    def claim(self, name: str, **changes: object) -> None:
        message = self.next(name)
        assert isinstance(message, Claim), message
        held = {"epoch": message.epoch, "reign": message.reign, **changes}
        self.hear(name, message, answer(f"node-{name}", self.positions[name], **held))

    def until(self, phase: Phase) -> "Talk":
        self.look("a")
        self.look("b")
        self.takeover.promise_saved = True
        if phase is Phase.FETCHING:
            self.claim("a")
            self.claim("b")
        assert self.takeover.phase is phase
        return self

    def fetched(self, name: str, **changes: object) -> Fetched:
        promise = self.takeover.promise
        position = self.positions[name]
        held = answer(f"node-{name}", position, epoch=promise.epoch, reign=promise.reign)
        return structs.replace(Fetched(**structs.asdict(held)), **changes)


HELD = Position(3, 7), Position(3, 4)


def test_nothing_is_claimed_before_all_have_answered_and_the_promise_is_saved() -> None:
    talk = Talk(*HELD)
    talk.look("a")
    assert talk.takeover.waiting_for == ["b"]
    assert talk.next("a") is None
    talk.look("b")
    assert talk.takeover.phase is Phase.CLAIMING
    assert [talk.next("a"), talk.next("b")] == [None, None]
    talk.takeover.promise_saved = True
    claims = [talk.next("a"), talk.next("b")]
    assert [(type(each), each.epoch, each.cluster) for each in claims if each] == [
        (Claim, 4, "c"),
        (Claim, 4, "c"),
    ]


@pytest.mark.parametrize(
    ("own", "found", "epoch"),
    [(0, (0, 0), 1), (0, (3, 9), 10), (20, (3, 9), 21)],
)
def test_epoch_is_above_every_epoch_found(own: int, found: tuple[int, int], epoch: int) -> None:
    talk = Talk(promise=Promise("c", own))
    for name, theirs in zip("ab", found, strict=True):
        talk.look(name, epoch=theirs)
    assert talk.takeover.promise.epoch == epoch


@pytest.mark.parametrize(
    ("own", "found", "cluster"),
    [
        (None, (None, None), "id0"),
        (None, (None, "theirs"), "theirs"),
        ("mine", (None, None), "mine"),
        ("mine", ("mine", None), "mine"),
    ],
)
def test_cluster_is_adopted_from_whoever_has_one(
    own: str | None, found: tuple[str | None, str | None], cluster: str
) -> None:
    talk = Talk(promise=Promise(own))
    for name, theirs in zip("ab", found, strict=True):
        talk.look(name, cluster=theirs)
    assert talk.takeover.promise.cluster == cluster


@pytest.mark.parametrize(
    ("own", "found"), [(None, ("one", "two")), ("mine", ("theirs", None))], ids=str
)
def test_two_clusters_are_not_joined(own: str | None, found: tuple[str, str | None]) -> None:
    talk = Talk(promise=Promise(own))
    for name, theirs in zip("ab", found, strict=True):
        talk.look(name, cluster=theirs)
    assert talk.takeover.phase is Phase.LOOKING
    assert "different clusters" in (talk.takeover.problem or "")


@pytest.mark.parametrize("node", ["node-a", "leader"])
def test_node_that_answers_twice_is_one(node: str) -> None:
    talk = Talk()
    talk.look("a")
    talk.look("b", node=node)
    assert talk.takeover.phase is Phase.LOOKING
    assert talk.takeover.waiting_for == ["b"]
    assert "are one node" in (talk.takeover.problem or "")


@pytest.mark.parametrize(
    ("positions", "best"),
    [
        ((Position(3, 7), Position(3, 4)), "a"),
        ((Position(2, 9), Position(3, 4)), "b"),
        ((START, Position(1, 1)), "b"),
    ],
)
def test_state_with_the_highest_position_is_taken(
    positions: tuple[Position, Position], best: str
) -> None:
    talk = Talk(*positions).until(Phase.FETCHING)
    assert talk.takeover.waiting_for == [best]
    assert [type(talk.next(name)) is Fetch for name in "ab"] == [name == best for name in "ab"]


def test_position_at_the_claim_counts_not_the_one_seen_before() -> None:
    talk = Talk(*HELD).until(Phase.CLAIMING)
    talk.positions["b"] = Position(3, 9)  # the old leader was still there
    talk.claim("a")
    talk.claim("b")
    assert talk.takeover.waiting_for == ["b"]


def test_state_is_fetched_in_parts() -> None:
    talk = Talk(*HELD).until(Phase.FETCHING)
    items = [Item("k", 6, Raw(b"1")), Item("l", 7, Raw(b"2"))]
    requests = [Request("once", 7, "f")]
    parts: list[dict[str, object]] = [
        {"items": items},
        {"requests": requests},
        {"entries": [put(7, epoch=3)]},
    ]
    for offset, part in zip((0, 2, 3), parts, strict=True):
        message = talk.next("a")
        assert isinstance(message, Fetch)
        assert message.offset == offset
        assert talk.takeover.taken is None
        heard = talk.fetched("a", total=4, base_index=6, base_epoch=2, commit_index=5, **part)
        talk.hear("a", message, heard)
    taken = talk.takeover.taken
    assert taken is not None
    assert (taken.position, taken.base, taken.commit_index) == (HELD[0], Position(2, 6), 5)
    assert (taken.items, taken.requests, taken.entries) == (items, requests, [put(7, epoch=3)])


def test_fetching_begins_anew_with_the_next_attempt() -> None:
    talk = Talk(*HELD).until(Phase.FETCHING)
    message = talk.next("a")
    assert message is not None
    talk.hear("a", message, talk.fetched("a", total=2, items=[Item("k", 6, Raw(b"1"))]))
    _best_is_lost(talk)
    message = talk.until(Phase.FETCHING).next("a")
    assert isinstance(message, Fetch)
    assert message.offset == 0


def test_empty_cluster_needs_no_fetching() -> None:
    talk = Talk().until(Phase.CLAIMING)
    talk.claim("a")
    assert talk.takeover.taken is None
    talk.claim("b")
    assert talk.takeover.taken is not None
    assert talk.takeover.taken.position == START


def test_leader_without_followers_has_nobody_to_wait_for() -> None:
    takeover = Takeover(Promise(), [], "leader", "http://l", lambda: "id")
    assert (takeover.phase, takeover.promise.epoch) == (Phase.DONE, 1)


def _claimed_by_another_node(talk: Talk) -> None:
    message = talk.next("b")
    assert isinstance(message, Claim)
    talk.hear("b", message, answer("somebody", epoch=message.epoch, reign=message.reign))


def _claim_refused(talk: Talk) -> None:
    talk.claim("b", epoch=4, reign="twin", error="another reign is in force")


def _best_is_lost(talk: Talk) -> None:
    talk.progress["a"].lost("gone")
    talk.takeover.lost(talk.progress["a"])


def _best_is_another_node(talk: Talk) -> None:
    talk.hear("a", Hello(epoch=0, reign=""), answer("emptied"))


def _fetch_refused(talk: Talk) -> None:
    message = talk.next("a")
    assert message is not None
    talk.hear("a", message, answer("node-a", HELD[0], epoch=4, error="no"))


def _fetched_position_differs(talk: Talk) -> None:
    message = talk.next("a")
    assert message is not None
    talk.hear("a", message, talk.fetched("a", last_index=6))


@pytest.mark.parametrize(
    ("phase", "event"),
    [
        (Phase.CLAIMING, _claimed_by_another_node),
        (Phase.CLAIMING, _claim_refused),
        (Phase.FETCHING, _best_is_lost),
        (Phase.FETCHING, _best_is_another_node),
        (Phase.FETCHING, _fetch_refused),
        (Phase.FETCHING, _fetched_position_differs),
    ],
)
def test_it_starts_over_under_a_higher_epoch(phase: Phase, event: Callable[[Talk], None]) -> None:
    talk = Talk(*HELD).until(phase)
    event(talk)
    assert talk.takeover.phase is Phase.LOOKING
    assert talk.takeover.waiting_for == ["a", "b"]
    assert talk.takeover.taken is None
    talk.look("a", epoch=4)
    talk.look("b", epoch=4)
    assert talk.takeover.promise.epoch == 5
    assert talk.next("a") is None, "the new promise is not saved yet"


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.FETCHING])
def test_other_followers_may_come_and_go_meanwhile(phase: Phase) -> None:
    talk = Talk(*HELD).until(phase)
    talk.progress["b"].lost("gone")
    talk.takeover.lost(talk.progress["b"])
    assert talk.takeover.phase is phase
    talk.look("b", epoch=4)
    assert talk.takeover.phase is phase


@pytest.mark.parametrize("phase", [Phase.CLAIMING, Phase.FETCHING])
def test_a_higher_epoch_ends_it(phase: Phase) -> None:
    talk = Talk(*HELD).until(phase)
    message = talk.next("a")
    assert message is not None
    with pytest.raises(Deposed, match="epoch 9, met at a"):
        talk.hear("a", message, answer("node-a", HELD[0], epoch=9, error="another reign"))


def test_answer_to_an_earlier_attempt_is_not_heard() -> None:
    talk = Talk(*HELD).until(Phase.CLAIMING)
    late = talk.next("a")
    assert late is not None
    _claim_refused(talk)
    talk.look("a", epoch=4)
    talk.look("b", epoch=4)
    talk.hear("a", late, answer("node-a", HELD[0], epoch=late.epoch, reign=late.reign))
    assert talk.takeover.waiting_for == ["a", "b"]


def test_follower_that_is_lost_while_looking_is_looked_at_again() -> None:
    talk = Talk()
    talk.look("a")
    talk.progress["a"].lost("gone")
    talk.takeover.lost(talk.progress["a"])
    talk.look("b")
    assert talk.takeover.waiting_for == ["a"]


def test_forced_start_while_claiming_looks_again_without_the_missing() -> None:
    talk = Talk(*HELD).until(Phase.CLAIMING)
    talk.claim("b")
    assert talk.takeover.force() == ["a"]
    assert talk.takeover.waiting_for == ["b"]
    talk.look("b", epoch=4)
    assert talk.takeover.phase is Phase.CLAIMING
    assert talk.takeover.promise.epoch >= 1004


def test_missing_follower_that_returns_in_time_takes_part() -> None:
    talk = Talk(*HELD).until(Phase.CLAIMING)
    talk.claim("b")
    talk.takeover.force()
    talk.look("a", epoch=4)
    talk.look("b", epoch=4)
    talk.takeover.promise_saved = True
    talk.claim("b")
    assert talk.takeover.waiting_for == ["a"]


@pytest.mark.parametrize("phase", [Phase.LOOKING, Phase.CLAIMING])
def test_forced_start_without_any_follower_goes_on(phase: Phase) -> None:
    talk = Talk(*HELD)
    if phase is Phase.CLAIMING:
        talk.until(phase)
    assert talk.takeover.force() == ["a", "b"]
    assert talk.takeover.phase is Phase.DONE
