"""A virtual network: it loses, delays, repeats and reorders what it carries.

The connections are those of TCP as the senders see them: an answer comes back only over the
connection that its message went out on, and only while both ends live. Messages may arrive late
and more than once all the same, as they do through a proxy or at a node that was frozen.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kvstore.core.messages import Answer, Message
from tests.simulation.machine import Machine
from tests.simulation.process import FollowerProcess, Process

if TYPE_CHECKING:
    from tests.simulation.sender import Sender
    from tests.simulation.world import World

USUAL_DELAY_S, LATE_DELAY_S, REPEAT_DELAY_S = 0.003, 0.3, 0.2
"""Means of the delays, which are distributed exponentially."""


@dataclass(slots=True, eq=False)
class Connection:
    """A leader's connection to the process that accepted it.

    :param process: None where nobody listened.
    """

    machine: Machine
    process: Process | None


@dataclass(slots=True, eq=False)
class Packet:
    """A message or an answer on its way.

    :param content: None for the news that a connection was closed.
    """

    content: Message | Answer | None
    _arrive: Callable[[bool], None]
    """Takes whether somebody waits for what comes of it."""

    def deliver(self) -> None:
        self._arrive(True)  # noqa: FBT003

    def repeat(self) -> None:
        self._arrive(False)  # noqa: FBT003


@dataclass(slots=True, eq=False)
class Path:
    """One direction between two machines.

    :param drop: share of packets that are lost.
    :param late: share of packets that take longer than a sender waits.
    :param duplicate: share of packets that are repeated, once or more.
    :param held: where packets are kept for a test to deliver; None = they are carried.
    """

    cut: bool = False
    drop: float = 0.0
    late: float = 0.0
    duplicate: float = 0.0
    held: list[Packet] | None = None

    def mend(self) -> None:
        """End what was wrong with it; nobody delivers what is held."""
        self.cut = False
        self.held = None
        self.drop = self.late = self.duplicate = 0.0


class Network:
    """Everything between the machines.

    :param world: has the clock and the machines.
    """

    def __init__(self, world: "World") -> None:
        self._world = world
        self.route = dict(world.machines)
        """Which machine an address leads to."""
        self.recent: deque[tuple[FollowerProcess, Message]] = deque(maxlen=20)
        """The last messages that arrived, and where."""
        self._paths: dict[tuple[str, str, bool], Path] = {}

    def path(self, leader: str, address: str, *, answers: bool = False) -> Path:
        """The way of a leader's messages to an address, or of the answers to them."""
        return self._paths.setdefault((leader, address, answers), Path())

    def connect(self, address: str) -> Connection:
        machine = self.route[address]
        return Connection(machine, machine.running)

    def send(self, sender: "Sender", connection: Connection, turn: int, message: Message) -> None:
        """Carry a message to a follower, and its answer back.

        :param turn: the sender's, which the answer is for.
        """
        world = self._world

        def answer(content: Answer | None) -> None:
            def arrive(_: bool) -> None:
                world.note("answer", sender, content)
                sender.process.do(lambda: sender.answered(turn, message, content))

            self._carry(sender, Packet(content, arrive), answers=True)

        def arrive(original: bool) -> None:
            process = connection.machine.running
            connected = original and process is not None and process is connection.process
            if original and not connected:
                self._reset(sender, connection)
            if process is not None:
                if isinstance(process, FollowerProcess):
                    self.recent.append((process, message))
                world.note("message", process, "" if connected else "late", message)
                process.do(lambda: process.receive(message, answer if connected else _ignore))

        self._carry(sender, Packet(message, arrive))

    def forge(self, process: FollowerProcess, message: Message) -> None:
        """Deliver a message that no leader of this world sent."""
        self._world.note("message", process, "forged", message)
        process.do(lambda: process.receive(message, _ignore))

    def stopped(self, process: object) -> None:
        """The connections to a follower's process are closed."""
        for sender in self._senders():
            connection = sender.connection
            if connection is not None and connection.process is process:
                self._reset(sender, connection)

    def reroute(self, address: str, machine: Machine) -> None:
        """Let an address lead to another machine; connections to the one before it break."""
        if self.route[address] is machine:
            return
        self._world.note("reroute", address, machine.name)
        self.route[address] = machine
        self._world.machine(address).standing.misled = True
        for sender in self._senders():
            if sender.address == address and sender.connection is not None:
                sender.connection.process = None
                self._reset(sender, sender.connection)

    def heal(self) -> None:
        """Carry everything again, to where it belongs."""
        for address, machine in self._world.machines.items():
            self.reroute(address, machine)
        for path in self._paths.values():
            path.mend()

    def _senders(self) -> "list[Sender]":
        leaders = self._world.running_leaders()
        return [sender for leader in leaders for sender in leader.senders.values()]

    def _reset(self, sender: "Sender", connection: Connection) -> None:
        def arrive(_: bool) -> None:
            sender.process.do(lambda: sender.closed(connection))

        self._carry(sender, Packet(None, arrive), answers=True)

    def _carry(self, sender: "Sender", packet: Packet, *, answers: bool = False) -> None:
        world, random = self._world, self._world.random
        path = self.path(sender.process.machine.name, sender.address, answers=answers)
        if path.held is not None:
            path.held.append(packet)
            return
        if path.cut or (path.drop and random.random() < path.drop):
            return
        late = path.late and random.random() < path.late
        mean_s = LATE_DELAY_S if late else USUAL_DELAY_S
        world.clock.after(random.expovariate(1 / mean_s), packet.deliver)
        while path.duplicate and random.random() < path.duplicate:
            world.clock.after(random.expovariate(1 / REPEAT_DELAY_S), packet.repeat)


def _ignore(_: Answer | None) -> None:
    pass
