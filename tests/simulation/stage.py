"""A world for the named schedules: nothing goes wrong in it but what they make go wrong."""

from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import Raw

from kvstore.core.leader_log import Write
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Message
from tests.simulation.network import Packet
from tests.simulation.report import describe
from tests.simulation.world import Setup, World


class Stage(World):
    """A cluster whose leader leads.

    :param setup: see :class:`Setup`.
    """

    def __init__(self, **setup: Any) -> None:
        super().__init__(Setup(**setup), Random(1))
        self.start_all()
        self.settle()

    def wait(self, reached: Callable[[], bool], within_s: float = 5.0) -> None:
        assert self.clock.run_until(reached, within_s), describe(self)

    def settle(self) -> None:
        """Let everything that is mended come to rest: one leader, equal copies."""
        self.wait(self.converged, within_s=10.0)

    def wait_ready(self, leader: str = "leader") -> None:
        self.wait(lambda: self.leader(leader).leader.ready)

    def wait_deposed(self, leader: str = "leader") -> None:
        self.wait(lambda: self.leader(leader).leader.state is LeaderState.DEPOSED)

    # Clients and operators

    def put(self, value: int, leader: str = "leader") -> int:
        """Put a number under a key of its own; its version, which is not confirmed yet."""
        write = Write("put", f"key{value}", Raw(b"%d" % value))
        version = self.write(self.leader(leader), write)
        assert version is not None, describe(self)
        return version

    def confirm(self, *values: int, leader: str = "leader") -> int:
        """Put numbers and wait for their quorum; the version of the last."""
        version = [self.put(value, leader) for value in values][-1]
        self.wait(lambda: self.leader(leader).leader.log.commit_index >= version)
        return version

    @property
    def confirmed_keys(self) -> set[str]:
        """The keys whose confirmation still holds."""
        return set(self.ledger.confirmed.items)

    def force(self, leader: str = "leader") -> None:
        """Let a leader go on without those that do not answer, once it has asked them."""
        self.wait(lambda: self.force_start(self.leader(leader)))

    # Network

    def cut(self, *addresses: str, leader: str = "leader") -> None:
        """Cut a leader off from followers, in both directions."""
        for address in addresses:
            for answers in (False, True):
                self.network.path(leader, address, answers=answers).cut = True

    def hold(self, address: str, leader: str) -> list[Packet]:
        """Keep what a leader sends, for the test to deliver, until the network is healed."""
        packets: list[Packet] = []
        self.network.path(leader, address).held = packets
        return packets

    def take(self, packets: list[Packet], kind: type[Message]) -> Packet:
        """Deliver what is in flight until a message of a kind, and of some entries, comes."""
        while True:
            self.wait(lambda: bool(packets))
            packet = packets.pop(0)
            if isinstance(packet.content, kind) and getattr(packet.content, "entries", True):
                return packet
            packet.deliver()
