"""A leader's process: the real rules, and senders that execute the real conversations."""

import gevent

from kvstore.core.changes import LeaderWatch
from kvstore.core.leader import Leader
from kvstore.core.leader_log import LogLimits, Write
from kvstore.core.preconditions import ALWAYS, Precondition
from tests.simulation.machine import Machine, Process
from tests.simulation.sender import Sender


class LeaderProcess(Process):
    """One leader, from its start to its crash.

    :param machine: where it runs.
    """

    def __init__(self, machine: Machine) -> None:
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
        self.storage.start(self.leader.saved, self.after_change, gevent.spawn)
        self.was_ready = False
        """Whether it was when the checks last looked."""
        self._watch = LeaderWatch(self.leader)
        self.senders: dict[str, Sender] = {}

    def start(self) -> None:
        """Begin to work."""
        self.after_change()

    def propose(self, write: Write, expected: Precondition = ALWAYS) -> int:
        """A client's write, up to where it would wait for the quorum."""
        index = self.leader.propose(write, self.machine.world.now_s, expected)
        self.after_change()
        return index

    def set_quorum(self, size: int) -> None:
        """Change W."""
        self.leader.set_quorum(size)
        self.after_change()

    def force_start(self, keep: str | None = None) -> list[str]:
        """Begin a takeover, or go on with one without the missing followers.

        :param keep: whose history is kept, where there are two.
        """
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
            self._wake()

    def _wake(self) -> None:
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
        last = log.last
        while (known := ledger.at(last)) is None and last.index > log.base.index:
            before = log.position_at(last.index - 1)
            assert before is not None, f"{self} does not know its own log"
            last = before
        assert known is not None, f"{self} has taken over what nobody wrote: {log.base}"
        for index in range(last.index + 1, log.last.index + 1):
            known = ledger.appended(known, log[index])
        self.log = known
