"""What executes the conversation with a follower, and the connection to it, on the virtual clock.

A new connection begins with Hello; a time-out or a closed connection is a loss, and an answer that
comes after it is never heard.
"""

from typing import TYPE_CHECKING

from kvstore.core.conversation import BackOff, Conversation, End, Send, Step, Wait
from kvstore.core.messages import Answer, Append, Hello, Message

if TYPE_CHECKING:
    from tests.simulation.network import Connection
    from tests.simulation.process import LeaderProcess


TIMEOUT_S = 0.15


class Sender:
    """The sender to one follower.

    :param process: the leader's.
    """

    def __init__(self, process: "LeaderProcess", address: str) -> None:
        self.process = process
        self.address = address
        self.connection: Connection | None = None
        self._world = process.machine.world
        self._conversation = Conversation(address, process.leader, self._world.random.uniform)
        self._turn = 0
        """Grows with every step, so that what an earlier one set up is void."""
        self._step: Step = BackOff(0.0)
        self._later(0.0)

    def __repr__(self) -> str:
        return f"{self.process}<-{self.address}"

    def wake(self) -> None:
        """There may be something to say."""
        if isinstance(self._step, Wait):
            self._later(0.0)

    def answered(self, turn: int, message: Message, answer: Answer | None) -> None:
        """An answer has arrived; None stands for status 400."""
        if turn != self._turn:
            return
        if answer is None:
            self.lost(turn, "status 400")
            return
        self._conversation.answered(message, answer, self._world.now_s)
        self.process.after_change()
        self._world.checks.leaders.received(self.process, self.address, message, answer)
        self._take_step()

    def lost(self, turn: int, reason: str) -> None:
        """Time is up, or the connection is gone."""
        if turn != self._turn:
            return
        self.connection = None
        self._conversation.lost(reason)
        self.process.after_change()
        self._take_step()

    def closed(self, connection: "Connection") -> None:
        """The follower's end of a connection is known to be closed."""
        if self.connection is connection and isinstance(self._step, Send | Wait):
            self.lost(self._turn, "the follower closed the connection")

    def _later(self, seconds: float) -> None:
        self._turn += 1
        turn = self._turn
        self.process.later(seconds, lambda: self._take_step() if turn == self._turn else None)

    def _take_step(self) -> None:
        self._turn += 1
        self._step = self._conversation.next_step(self._world.now_s)
        match self._step:
            case Send(message):
                self._send(message)
            case Wait(seconds) | BackOff(seconds):
                self._later(seconds)
            case End():
                del self.process.senders[self.address]

    def _send(self, message: Message) -> None:
        turn, network = self._turn, self._world.network
        heartbeat = isinstance(message, Append) and not message.entries
        if heartbeat and self._world.random.random() < 0.1:
            # Its simulated delay was not over when a write came.
            self._later(0.0)
            return
        self._world.checks.leaders.sending(self.process, self.address, message)
        if self.connection is None and not isinstance(message, Hello):
            self.lost(turn, "the connection was closed")
            return
        if self.connection is None:
            self.connection = network.connect(self.address)
        self.process.later(TIMEOUT_S, lambda: self.lost(turn, "no answer"))
        network.send(self, self.connection, turn, message)
