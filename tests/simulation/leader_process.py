"""A leader's process: the real rules, and senders that do what the replicator's do."""

import gevent

from kvstore.leader_log import LogLimits, Write
from kvstore.preconditions import ALWAYS, Precondition
from kvstore.records import Record, SavePromise
from tests.simulation.machine import Machine, Process
from tests.simulation.sender import Sender


class LeaderProcess(Process):
    """One leader, from its start to its crash.

    :param machine: where it runs.
    """

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        world, setup = machine.world, machine.world.setup
        self.log = machine.durable
        """The history that its log stands for, durable or not."""
        self.storage.start(self._saved, self.after_change, gevent.spawn)
        self.leader = world.rules.leader(
            self.storage.load(),
            list(world.followers),
            setup.write_quorum,
            url=machine.name,
            limits=LogLimits(
                retain=setup.leader_retain,
                retain_bytes=setup.retain_bytes,
                max_pending=setup.max_pending,
            ),
            new_id=world.new_id,
        )
        self._announced = ("", 0)
        self.senders = {address: Sender(self, address) for address in self.leader.followers}

    def start(self) -> None:
        """Begin to work."""
        self.after_change()
        for sender in self.senders.values():
            sender.pause(0.0)

    def propose(self, write: Write, expected: Precondition = ALWAYS) -> int:
        """A client's write, up to where it would wait for the quorum."""
        index = self.leader.propose(write, self.machine.world.now_s, expected)
        if index > self.log.index:
            entry = self.leader.log.entries[index]
            self.log = self.machine.world.ledger.appended(self.log, entry)
        self.after_change()
        return index

    def set_quorum(self, size: int) -> None:
        """Change W."""
        self.leader.set_quorum(size)
        self.after_change()

    def force_start(self) -> list[str]:
        """Go on without the missing followers."""
        missing = self.leader.force_start()
        self.after_change()
        return missing

    def after_change(self) -> None:
        """Save, and wake the senders, as the node does after every change."""
        while records := self.leader.take_unsaved():
            self.storage.save(records)
        self.machine.world.checks.leader_changed(self)
        announced = (self.leader.state_text, self.leader.log.durable_index)
        if announced != self._announced:
            self._announced = announced
            for sender in self.senders.values():
                sender.wake()

    def _saved(self, record: Record) -> None:
        self.leader.saved(record)
        if isinstance(record, SavePromise):
            for sender in self.senders.values():
                sender.wake()
