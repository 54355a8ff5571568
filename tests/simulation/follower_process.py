"""A follower's process: the real shell and the real rules, on a virtual disk."""

from collections.abc import Callable

from greenlet import greenlet

from kvstore.core.errors import InvalidRequest
from kvstore.core.follower import Follower
from kvstore.core.messages import ANSWERS, Answer, Message, decode, encode
from kvstore.node.follower_node import FollowerNode
from tests.simulation.machine import Machine, Process


class FollowerProcess(Process):
    """One follower, from its start to its crash.

    :param machine: where it runs.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        setup = machine.world.setup
        self.follower = Follower(
            self.storage.load(),
            setup.follower_retain,
            setup.retain_bytes,
            setup.message_entries,
        )
        self.node = FollowerNode(self.follower, self.storage, 1.0)
        self.node.start()

    def receive(self, message: Message, reply: Callable[[Answer | None], None]) -> None:
        """Handle a message as it comes off the wire.

        :param reply: called when the answer leaves; with None where that is status 400.
        """
        # The shell waits for the disk in the middle of this: a greenlet of its own can.
        greenlet(self._serve).switch(decode(type(message), encode(message)), reply)
        self.machine.world.checks.follower_changed(self)

    def sync(self, count: int) -> None:
        super().sync(count)
        self.machine.world.checks.follower_changed(self)

    def _serve(self, message: Message, reply: Callable[[Answer | None], None]) -> None:
        held = self.follower.promise
        try:
            answer = self.node.receive(message)
        except InvalidRequest:
            reply(None)
            return
        self.machine.world.checks.answered(self, message, answer, held)
        kind = Answer if answer.error is not None else ANSWERS[type(message)]
        reply(decode(kind, encode(answer)))
