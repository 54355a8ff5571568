"""The processes that run on machines: the real rules, on a virtual disk, network and clock."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import gevent
from greenlet import greenlet

from kvstore.core.changes import LeaderWatch
from kvstore.core.errors import InvalidRequest
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader
from kvstore.core.leader_log import Batch, LogLimits, Write
from kvstore.core.messages import ANSWERS, Answer, Message, decode, encode
from kvstore.core.preconditions import ALWAYS, Precondition
from kvstore.node.follower_node import FollowerNode
from tests.simulation.disk import SimulatedStorage
from tests.simulation.sender import Sender

if TYPE_CHECKING:
    from tests.simulation.machine import Machine

Reply = Callable[[Answer | None], None]
"""Called when an answer leaves; with None where that is status 400."""


class Process:
    """What a crash ends.

    :param machine: where it runs.
    """

    def __init__(self, machine: "Machine") -> None:
        self.machine = machine
        self.alive = True
        self.frozen = False
        self.served_index = -1
        """Where its map was when the checks last compared it."""
        self._deferred: list[Callable[[], None]] = []
        self.storage = SimulatedStorage(self)

    def __repr__(self) -> str:
        return self.machine.name

    def start(self) -> None:
        """Begin to work."""

    def receive(self, message: Message, reply: Reply) -> None:  # noqa: ARG002
        """Handle a message as it comes off the wire; only a follower takes one."""
        reply(None)

    def synced(self) -> None:
        """The disk has written some records."""

    def do(self, call: Callable[[], None]) -> None:
        """Let something happen to it: at once, or when it is no longer frozen."""
        if self.frozen:
            self._deferred.append(call)
        elif self.alive:
            call()

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        self.machine.world.clock.after(seconds, lambda: self.do(call))

    def thaw(self) -> None:
        """End a freeze; what came meanwhile is there at once."""
        self.frozen = False
        deferred, self._deferred = self._deferred, []
        for call in deferred:
            self.later(0.0, call)


class FollowerProcess(Process):
    """One follower, from its start to its crash: the rules and the shell around them."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        setup = machine.world.setup
        self.follower = Follower(
            self.storage.load(), setup.follower_retain, setup.retain_bytes, setup.message_entries
        )
        self.node = FollowerNode(self.follower, self.storage, 1.0)

    def start(self) -> None:
        self.node.start()

    def receive(self, message: Message, reply: Reply) -> None:
        # The shell waits for the disk in the middle of this: a greenlet of its own can.
        greenlet(self._serve).switch(decode(type(message), encode(message)), reply)
        self.synced()

    def synced(self) -> None:
        self.machine.world.checks.follower_changed(self)

    def _serve(self, message: Message, reply: Reply) -> None:
        held = self.follower.promise
        try:
            answer = self.node.receive(message)
        except InvalidRequest:
            reply(None)
            return
        self.machine.world.checks.answered(self, message, answer, held)
        kind = Answer if answer.error is not None else ANSWERS[type(message)]
        reply(decode(kind, encode(answer)))


class LeaderProcess(Process):
    """One leader, from its start to its crash: the rules, and senders that converse."""

    def __init__(self, machine: "Machine") -> None:
        super().__init__(machine)
        world, setup = machine.world, machine.world.setup
        addresses = machine.addresses or []
        self.log = machine.durable
        """The history that its log stands for, durable or not."""
        self.leader: Leader = Leader(
            self.storage.load(),
            addresses,
            min(setup.write_quorum, len(addresses)),
            url=f"http://{machine.name}",
            limits=LogLimits(
                retain=setup.leader_retain,
                retain_bytes=setup.retain_bytes,
                message_entries=setup.message_entries,
                max_pending=setup.max_pending,
            ),
            new_id=world.new_id,
            now_ms=lambda: machine.now_ms,
        )
        self.storage.start(self.leader.saved, self.start, gevent.spawn)
        self.was_ready = False
        """Whether it was when the checks last looked."""
        self._watch = LeaderWatch(self.leader)
        self.senders: dict[str, Sender] = {}

    def start(self) -> None:
        self.after_change()

    def propose(self, write: Write, expected: Precondition = ALWAYS) -> int:
        """A client's write, up to where it would wait for the quorum."""
        index = self.leader.propose(write, self.machine.world.now_s, expected)
        self.after_change()
        return index

    def propose_batch(self, batch: Batch) -> int:
        """A client's batch; like :meth:`propose`."""
        index = self.leader.propose_batch(batch, self.machine.world.now_s)
        self.after_change()
        return index

    def set_quorum(self, size: int) -> None:
        self.leader.set_quorum(size)
        self.after_change()

    def force_start(self, keep: str | None = None) -> list[str]:
        missing = self.leader.force_start(keep)
        self.after_change()
        return missing

    def after_change(self) -> None:
        """Save, and act on what has changed."""
        self._follow_log()
        while records := self.leader.take_unsaved():
            self.storage.save(records)
            self._follow_log()
        self.machine.world.checks.leaders.changed(self)
        if self._watch.look().to_say:
            for sender in self.senders.values():
                sender.wake()
            for address in self.leader.followers:
                if address not in self.senders:
                    self.senders[address] = Sender(self, address)

    def _follow_log(self) -> None:
        """Take note of what the leader has appended, or taken over."""
        ledger, log = self.machine.world.ledger, self.leader.log.replication_log
        if log.last == self.log.position:
            return
        index = log.last.index
        while (known := ledger.at(log.position_at(index))) is None and index > log.base.index:
            index -= 1
        assert known is not None, f"{self} has taken over what nobody wrote: {log.base}"
        for entry in log.entries(index):
            known = ledger.appended(known, entry)
        self.log = known
