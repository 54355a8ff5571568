"""What has changed on a leader since the last look, for the code that has to act on it."""

from dataclasses import dataclass

from kvstore.core.entries import ReignId
from kvstore.core.leader import Leader
from kvstore.core.records import Promise


@dataclass(frozen=True, slots=True)
class Changes:
    """What a change calls for, besides saving.

    :param reign: it has changed or ended. Requests that wait for a write of the previous reign wait
        in vain: what is confirmed at its index from now on may be another entry.
    :param to_say: there may be something new to send, possibly to a new follower.
    :param state: its text has changed.
    :param problem: it has changed or is gone.
    """

    reign: bool
    to_say: bool
    state: bool
    problem: bool


class LeaderWatch:
    """Reports what has changed on a leader; at the first look, everything has.

    :param leader: is only read.
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
        # A leader sends nothing before the state it is based on is durable.
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
