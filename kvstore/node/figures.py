"""What a node counts about itself while it works, for ``/metrics``.

A write passes here several times, on every node, so counting is no more than two additions.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kvstore.api_types import Status

SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Bounds for durations."""
ENTRIES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Bounds for how much one message carries."""


class Distribution:
    """How many values lay up to each of some bounds, and their sum.

    :param bounds: ascending; ``counts`` has one more, for what lies above all of them.
    """

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value


def durations() -> Distribution:
    """An empty distribution of seconds."""
    return Distribution(SECONDS)


@dataclass
class ExchangeFigures:
    """The exchanges with one follower.

    :param seconds: from sending a message with entries to having read its acknowledgement.
    :param entries: how many entries each carried.
    :param lost: messages of any kind that got no usable answer.
    """

    seconds: Distribution = field(default_factory=durations)
    entries: Distribution = field(default_factory=lambda: Distribution(ENTRIES))
    lost: int = 0


@dataclass(frozen=True, kw_only=True)
class NodeFigures:
    """Everything that a node counts.

    :param durable_index: up to where its log is on disk, or in memory where it keeps none.
    :param log_entries: entries that the log holds; ``log_bytes`` is their approximate size.
    :param map_keys: keys that exist; ``map_bytes`` is the approximate size of keys and values.
    :param commits: how long each transaction on the disk took, in seconds; None = there is no disk.
    :param quorum_waits: how long each write waited for its quorum, in seconds; None on a follower.
    :param exchanges: by the follower's address; empty on a follower.
    """

    ready: bool
    status: Status
    durable_index: int
    log_entries: int
    log_bytes: int
    map_keys: int
    map_bytes: int
    commits: Distribution | None
    quorum_waits: Distribution | None = None
    exchanges: Mapping[str, ExchangeFigures] = field(default_factory=dict)
