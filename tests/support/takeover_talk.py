"""A takeover among two followers, and what is said in it."""

from collections.abc import Iterable

from msgspec import structs

from kvstore.core.entries import Entry, Members, ReignId
from kvstore.core.follower import Follower
from kvstore.core.messages import Answer, Message
from kvstore.core.node_state import NodeState
from kvstore.core.progress import FollowerProgress
from kvstore.core.records import Promise, Record
from kvstore.core.survey import OwnState
from kvstore.core.takeover import Phase, Takeover
from tests.support.replication import (
    CLUSTER,
    R1,
    URL,
    entries,
    first_entry,
    handle,
    make_state,
    put,
    reign,
)

R3, R9 = reign(3), reign(9)
RESTART = reign(3, 5)
TWIN = reign(3, takeover="t")


def make_node(
    node_id: str,
    held: Iterable[Entry] = (),
    of: ReignId | None = R3,
    members: Members | None = None,
    message_entries: int = 1000,
) -> Follower:
    """A follower that belongs to a reign."""
    promise = Promise() if of is None else Promise(CLUSTER, of, URL, members or {})
    return Follower(make_state(node_id, *held, promise=promise), 1000, 1 << 20, message_entries)


def own_state(*held: Entry, of: ReignId | None = None, **promise: bool) -> NodeState:
    """What the leader itself kept."""
    kept = Promise() if of is None else Promise(CLUSTER, of, URL, **promise)  # type: ignore[arg-type]
    return make_state("l", *held, promise=kept)


class Talk:
    """A takeover among the followers a and b, and what is said.

    :param others: at a and b, and elsewhere.
    :param state: of the leader.
    """

    def __init__(
        self,
        a: Follower | None = None,
        b: Follower | None = None,
        state: NodeState | None = None,
        *,
        forced: bool = False,
        **others: Follower,
    ) -> None:
        self.others = {"a": a or make_node("na"), "b": b or make_node("nb"), **others}
        self.progress = {address: FollowerProgress(address) for address in "ab"}
        self.saved: list[Record] = []
        state = state or own_state()
        ids = iter(f"id{number}" for number in range(1000))
        self.takeover = Takeover(
            state.promise,
            OwnState.of(state, URL),
            self.progress,
            lambda: next(ids),
            self.saved.append,
            forced=forced,
        )

    @property
    def phase(self) -> Phase:
        return self.takeover.phase

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

    def lose(self, address: str) -> None:
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
        raise AssertionError(f"it is {self.phase}: {self.takeover.problem}")


def make_unequal_talk() -> Talk:
    """The follower at a holds more than the one at b."""
    return Talk(make_node("na", entries(7, of=R3)), make_node("nb", entries(4, of=R3)))


def looked(talk: Talk) -> Talk:
    """The followers have answered."""
    talk.say("a")
    talk.say("b")
    return talk


# Histories

EMPTY: list[Entry] = []
SHORT, LONG = entries(4, of=R3), entries(7, of=R3)
EARLIER = entries(9, of=R1)
TWINS = entries(9, of=TWIN)
UNSENT = [*entries(4, of=R3), first_entry(5, RESTART), put(6, of=RESTART), put(7, of=RESTART)]
