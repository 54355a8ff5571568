"""The conversation with one follower: what to send, when to wait, and how to back off.

It only decides. Its caller asks for the next step, carries it out, reports an answer or a loss, and
asks again. In a node the caller is a greenlet; in the simulator, an event on the virtual clock.
"""

from collections.abc import Callable
from dataclasses import dataclass

from kvstore.core.leader import Leader
from kvstore.core.messages import Answer, Hello, Message
from kvstore.core.progress import HEARTBEAT_S

BACKOFF_MIN_S = 0.01
BACKOFF_MAX_S = 0.5


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message, and report what came of it.

    A message that has not left yet may give way to something new; then there is nothing to report.
    """

    message: Message


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait until there may be something to send, for this long at most.

    The connection is idle meanwhile; if the follower closes it, that is a loss.
    """

    seconds: float


@dataclass(frozen=True, slots=True)
class BackOff:
    """Send nothing for this long, even if there is something to send."""

    seconds: float


@dataclass(frozen=True, slots=True)
class End:
    """Close the connection: the leader has no such follower any more."""


Step = Send | Wait | BackOff | End


class Conversation:
    """The leader's side of a conversation; one message is in flight at a time.

    :param address: the follower's, as ``host:port``.
    :param uniform: a function like :func:`random.uniform`. Its jitter keeps several followers from
        being sent their heartbeats, or a repeated message, all at once.
    """

    def __init__(
        self, address: str, leader: Leader, uniform: Callable[[float, float], float]
    ) -> None:
        self.address = address
        self._leader = leader
        self._uniform = uniform
        self._losses = 0
        self._refusals = 0
        self._backoff_s = 0.0

    def next_step(self, now_s: float) -> Step:
        """What to do now."""
        progress = self._leader.followers.get(self.address)
        if progress is None:
            return End()
        if self._backoff_s > 0:
            seconds, self._backoff_s = self._backoff_s, 0.0
            return BackOff(seconds)
        message = self._leader.next_message(self.address, now_s)
        if message is not None:
            return Send(message)
        return Wait(progress.last_sent_s + HEARTBEAT_S * self._uniform(1.0, 1.2) - now_s)

    def answered(self, message: Message, answer: Answer, now_s: float) -> bool:
        """The message that was sent got an answer, accepted or refused.

        :return: whether that is news: the message before it got no answer.
        """
        self._leader.receive(self.address, message, answer, now_s)
        if answer.error is not None:
            self._back_off(self._refusals)
            self._refusals += 1
        elif not isinstance(message, Hello):
            # Even a follower that refuses everything else answers a hello.
            self._refusals = 0
        was_lost, self._losses = self._losses > 0, 0
        return was_lost

    def lost(self, reason: str) -> bool:
        """The message that was sent got no usable answer, or the idle connection was closed.

        :return: whether that is news: the message before it got an answer, or there was none.
        """
        self._leader.lost(self.address, reason)
        self._back_off(self._losses)
        self._losses += 1
        return self._losses == 1

    def _back_off(self, setbacks: int) -> None:
        longest_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(setbacks, 10))
        self._backoff_s = longest_s * self._uniform(0.5, 1.0)
