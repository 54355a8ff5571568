"""The simulated delay that really happened during a load, from the leader's ``/status``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class DelayFigures:
    """Replication requests and their simulated delay, over all followers together.

    :param requests: number of replication requests that were delayed.
    :param drawn_ms: mean of the delays drawn, in milliseconds.
    :param happened_ms: mean of the waits that really happened, in milliseconds.
    """

    requests: int
    drawn_ms: float
    happened_ms: float


def delay_between(before: Mapping[str, Any], after: Mapping[str, Any]) -> DelayFigures | None:
    """Compute the delays of one load from the leader's running totals.

    :param before: the leader's ``/status`` before the load.
    :param after: the same after it.
    :return: the figures; ``None`` when the two do not tell, as without any request between them.
    """
    try:
        first, last = _totals(before), _totals(after)
    except (KeyError, TypeError):
        return None
    requests = last[0] - first[0]
    if requests <= 0:
        return None
    return DelayFigures(requests, (last[1] - first[1]) / requests, (last[2] - first[2]) / requests)


def _totals(status: Mapping[str, Any]) -> tuple[int, float, float]:
    delays = [follower["delay"] for follower in status["followers"]]
    return (
        sum(delay["count"] for delay in delays),
        sum(delay["count"] * (delay["mean_drawn_ms"] or 0.0) for delay in delays),
        sum(delay["count"] * (delay["mean_happened_ms"] or 0.0) for delay in delays),
    )
