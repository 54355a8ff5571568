"""How long the nodes' transactions on the disk take, from what they count themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from kvstore.client.node_client import NodeClient

_METRIC = "kvstore_disk_commit_seconds"


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
        """Ask each node for its ``/metrics``; one that keeps nothing on a disk has none."""
        answers = [node.request("GET", "/metrics") for node in nodes]
        samples = [
            sample
            for answer in answers
            if answer.status_code == 200
            for family in text_string_to_metric_families(answer.text)
            if family.name == _METRIC
            for sample in family.samples
        ]

        def total(what: str) -> float:
            return sum(each.value for each in samples if each.name == f"{_METRIC}_{what}")

        return cls(total("count"), total("sum"))

    def mean_ms_since(self, earlier: "DiskCommits") -> float | None:
        """The mean of those that came meanwhile, in milliseconds; None without any."""
        count = self.count - earlier.count
        return 1000 * (self.seconds - earlier.seconds) / count if count > 0 else None
