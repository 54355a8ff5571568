"""What has changed at a leader since it was looked at, for whoever has to act on it."""

from dataclasses import dataclass

from kvstore.core.entries import ReignId
from kvstore.core.leader import Leader
from kvstore.core.records import Promise


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done after a change, beside saving.

    :param reign: the reign is another, or over. Whoever waits for a write of the one before waits
        in vain: what is confirmed at its index from now on may be another entry.
    :param to_say: there may be something new to say, also to a follower that is new.
    :param state: the state, in words, is another.
    :param problem: the problem is another, or there is none any more.
    """

    reign: bool
    to_say: bool
    state: bool
    problem: bool


class LeaderWatch:
    """Tells what has changed at a leader; the first look finds all of it new.

    :param leader: is only looked at.
    """

    def __init__(self, leader: Leader) -> None:
        self._leader = leader
        self._reign: ReignId | None = None
        self._state = ""
        self._problem: str | None = None
        self._sendable: tuple[str, int, Promise, list[str]] | None = None

    def look(self) -> Changes:
        """What has changed since the last look."""
        leader = self._leader
        reign, state, problem = leader.reign, leader.state_text, leader.problem
        # Nothing leaves a leader before what it follows from is durable.
        sendable = (
            state,
            leader.log.durable_index,
            leader.durable_promise,
            list(leader.followers),
        )
        changes = Changes(
            reign=reign != self._reign,
            to_say=sendable != self._sendable,
            state=state != self._state,
            problem=problem != self._problem,
        )
        self._reign, self._state, self._problem = reign, state, problem
        self._sendable = sendable
        return changes
