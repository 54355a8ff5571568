"""What the replicator and the HTTP transport do, on the virtual clock.

One message at a time for each follower; a new connection begins with Hello; a time-out or a closed
connection is reported as lost, and an answer that comes after it is never heard.
"""

from typing import TYPE_CHECKING

from kvstore.core.messages import Answer, Append, Hello, Message
from kvstore.core.takeover import HEARTBEAT_S
from kvstore.node.replicator import BACKOFF_MAX_S, BACKOFF_MIN_S
from tests.simulation.network import Connection

if TYPE_CHECKING:
    from tests.simulation.leader_process import LeaderProcess


class Sender:
    """The conversation with one follower.

    :param process: the leader's.
    """

    def __init__(self, process: "LeaderProcess", address: str) -> None:
        self.process = process
        self.address = address
        self.connection: Connection | None = None
        self.waiting_for: Message | None = None
        """The message that has no answer yet."""
        self._world = process.machine.world
        self._failures = 0
        self._turn = 0
        """Grows with everything that happens, so that what was set up before is void."""
        self._idle = False

    def __repr__(self) -> str:
        return f"{self.process}<-{self.address}"

    def wake(self) -> None:
        """There may be something to say."""
        if self._idle:
            self._idle = False
            self.pause(0.0)

    def pause(self, seconds: float) -> None:
        """Go on after a while; end where the leader has no such follower any more."""
        self._turn += 1
        if self.address not in self.process.leader.followers:
            self._end()
            return
        turn = self._turn
        self.process.later(seconds, lambda: self._go_on() if turn == self._turn else None)

    def answered(self, turn: int, message: Message, answer: Answer | None) -> None:
        """An answer has arrived; None stands for status 400."""
        if turn != self._turn or self.waiting_for is not message:
            return
        if answer is None:
            self.lost(turn, "status 400")
            return
        self._failures = 0
        self.waiting_for = None
        self.process.leader.receive(self.address, message, answer, self._world.now_s)
        self.process.after_change()
        self._world.checks.leaders.received(self.process, self.address, message, answer)
        self.pause(self._backoff_s() if answer.error is not None else 0.0)

    def lost(self, turn: int, reason: str) -> None:
        """Time is up, or the connection is gone."""
        if turn != self._turn:
            return
        self.connection = None
        self.waiting_for = None
        self._idle = False
        self._failures += 1
        self.process.leader.lost(self.address, reason)
        self.process.after_change()
        self.pause(self._backoff_s())

    def closed(self, connection: Connection) -> None:
        """The follower's end of a connection is known to be closed."""
        if self.connection is connection and (self._idle or self.waiting_for is not None):
            self.lost(self._turn, "the follower closed the connection")

    def _end(self) -> None:
        self.connection = None
        self._idle = False
        del self.process.senders[self.address]
        self.process.keep_senders()

    def _go_on(self) -> None:
        message = self.process.leader.next_message(self.address, self._world.now_s)
        if message is None:
            self._idle = True
            self.pause(self._idle_s())
            return
        self._idle = False
        self._turn += 1
        if _is_heartbeat(message) and self._world.random.random() < 0.1:
            # Its simulated delay was not over when a write came.
            self.pause(0.0)
            return
        self._world.checks.leaders.sending(self.process, self.address, message)
        if self.connection is None and not isinstance(message, Hello):
            self.lost(self._turn, "the connection was closed")
            return
        self._send(message, self._turn)

    def _send(self, message: Message, turn: int) -> None:
        network = self._world.network
        if self.connection is None:
            self.connection = network.connect(self.address)
        self.waiting_for = message
        timeout_s = self._world.setup.request_timeout_s
        self.process.later(timeout_s, lambda: self.lost(turn, "no answer"))
        network.send(self, self.connection, turn, message)

    def _idle_s(self) -> float:
        progress = self.process.leader.followers.get(self.address)
        last_sent_s = 0.0 if progress is None else progress.last_sent_s
        heartbeat_s = HEARTBEAT_S * self._world.random.uniform(1.0, 1.2)
        due_s = last_sent_s + heartbeat_s - self._world.now_s
        return due_s if due_s > 0 else HEARTBEAT_S

    def _backoff_s(self) -> float:
        longest_s: float = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 10))
        return longest_s * self._world.random.uniform(0.5, 1.0)


def _is_heartbeat(message: Message) -> bool:
    return isinstance(message, Append) and not message.entries
