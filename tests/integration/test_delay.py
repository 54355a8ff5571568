"""The simulated delay really happens, and is what was asked for."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kvstore.api_types import DelayFigures
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster

REQUESTS = 500
ATTEMPTS = 3
MAX_WAIT_MS = 0.05
"""A leader that waited longer for a processor, in the mean of its requests, was disturbed."""


def delays_of_an_idle_cluster(cluster: Cluster) -> list[DelayFigures]:
    """One write after the other: each is one replication request to each follower.

    Where the tests may do so, other programs are kept from disturbing the leader.
    """
    with suppress(PermissionError):
        for process in cluster.leader.processes:
            os.sched_setscheduler(process.pid, os.SCHED_FIFO, os.sched_param(1))
    for number in range(REQUESTS):
        cluster.leader.put_confirmed("key", number)
    cluster.wait_for_replication()
    return [follower.delay for follower in cluster.leader.status().followers]


def waited_for_processor_ms(cluster: Cluster) -> float:
    """How long the leader's loop was ready to run, and another program ran instead."""
    _, worker, *_ = cluster.leader.processes
    schedstat = Path(f"/proc/{worker.pid}/schedstat")
    return int(schedstat.read_text("ascii").split()[1]) / 1e6 if schedstat.exists() else 0.0


def why_not_precise(delays: list[DelayFigures]) -> str | None:
    for delay in delays:
        assert delay.count >= REQUESTS
        assert delay.mean_drawn_ms == pytest.approx(0.55, rel=0.1)
        off = abs(delay.mean_happened_ms - delay.mean_drawn_ms) / delay.mean_drawn_ms
        # Whole milliseconds would be 80 % more, and not correlated; other tests run meanwhile.
        if off > 0.2 or (delay.correlation or 0) < 0.8:
            return str(delay)
    return None


def test_delays_that_happen_are_those_that_were_drawn(tmp_path: Path) -> None:
    """Delays below a millisecond, not rounded to whole ones.

    Another program may keep the processors busy meanwhile, so there are a few attempts, and those
    that were disturbed show nothing.
    """
    reasons = []
    for attempt in range(ATTEMPTS):
        with Cluster(1, tmp_path / str(attempt)) as cluster:
            before_ms = waited_for_processor_ms(cluster)
            reason = why_not_precise(delays_of_an_idle_cluster(cluster))
            waited_ms = (waited_for_processor_ms(cluster) - before_ms) / REQUESTS
        if reason is None:
            return
        if waited_ms <= MAX_WAIT_MS:
            reasons.append(reason)
    if not reasons:
        pytest.skip("other programs kept the processors busy in every attempt")
    pytest.fail(f"not precise in {len(reasons)} attempts that nothing disturbed: {reasons}")


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers without a delay; W=2."""
    return start_shared_cluster(2, WRITE_QUORUM=2, MIN_DELAY=0, MAX_DELAY=0, **PATIENT)


def drawn(cluster: Cluster, write_count: int) -> list[float]:
    """For each follower, the mean of the delays drawn while so many writes are made, in ms."""

    def drawn_before() -> list[tuple[int, float]]:
        cluster.wait_for_replication()
        delays = [follower.delay for follower in cluster.leader.status().followers]
        return [(delay.count, delay.count * delay.mean_drawn_ms) for delay in delays]

    before = drawn_before()
    for number in range(write_count):
        cluster.leader.put_confirmed("key", number)
    after = drawn_before()
    return [(a[1] - b[1]) / (a[0] - b[0]) for a, b in zip(after, before, strict=True)]


def test_a_write_takes_as_long_as_its_delay(cluster: Cluster) -> None:
    assert drawn(cluster, 1) == [0, 0]
    cluster.leader.set_delay(150, 150)
    start_s = time.perf_counter()
    cluster.leader.put_confirmed("key", 1)
    assert time.perf_counter() - start_s >= 0.15


def test_every_follower_has_delays_of_its_own_from_the_range_in_force(cluster: Cluster) -> None:
    cluster.leader.set_delay(20, 30)
    first, second = drawn(cluster, 10)
    assert 20 <= first <= 30
    assert 20 <= second <= 30
    assert first != second
