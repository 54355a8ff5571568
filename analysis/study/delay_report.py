"""The simulated delay that really happened during a load, from the leader's ``/status``."""

from dataclasses import dataclass

from kvstore.api_types import Status


@dataclass(frozen=True)
class LoadDelay:
    """Replication requests and their simulated delay, over all followers together.

    :param requests: number of replication requests that were delayed.
    :param drawn_ms: mean of the delays drawn, in milliseconds.
    :param happened_ms: mean of the waits that really happened, in milliseconds.
    """

    requests: int
    drawn_ms: float
    happened_ms: float


def delay_between(before: Status, after: Status) -> LoadDelay | None:
    """Compute the delays of one load from the leader's running totals.

    :param before: the leader's ``/status`` before the load.
    :param after: the same after it.
    :return: the figures; ``None`` without any request between the two.
    """
    first, last = _totals(before), _totals(after)
    requests = last[0] - first[0]
    if requests <= 0:
        return None
    return LoadDelay(requests, (last[1] - first[1]) / requests, (last[2] - first[2]) / requests)


def _totals(status: Status) -> tuple[int, float, float]:
    delays = [follower.delay for follower in status.followers]
    return (
        sum(delay.count for delay in delays),
        sum(delay.count * delay.mean_drawn_ms for delay in delays),
        sum(delay.count * delay.mean_happened_ms for delay in delays),
    )
