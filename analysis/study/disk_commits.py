"""How long the nodes' transactions on the disk take, from what they count themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from analysis.nodes.metrics import scrape
from kvstore.client.node_client import NodeClient


@dataclass(frozen=True)
class DiskCommits:
    """All transactions of some nodes since these were started.

    :param count: how many.
    :param seconds: how long they took together.
    """

    count: float
    seconds: float

    @classmethod
    def of(cls, nodes: Iterable[NodeClient]) -> Self:
        """Ask each node; one that keeps nothing on a disk has none.

        :raises NodeUnavailableError: one does not tell.
        """
        found = [scrape(node) for node in nodes]

        def total(what: str) -> float:
            return sum(each.get((f"kvstore_disk_commit_seconds_{what}",), 0) for each in found)

        return cls(total("count"), total("sum"))

    def mean_ms_since(self, earlier: "DiskCommits") -> float | None:
        """The mean of those that came meanwhile, in milliseconds; None without any."""
        count = self.count - earlier.count
        return 1000 * (self.seconds - earlier.seconds) / count if count > 0 else None
