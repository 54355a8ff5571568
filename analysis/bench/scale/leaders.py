"""Keys split over two leaders, and all on one core: what the model says, and what happens."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from analysis.bench.findings import Finding
from analysis.bench.model import Costs
from analysis.bench.scale.options import Options
from analysis.bench.wrk import PUTS, Load, run_wrk
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.usage import Usage, usage_of

_CONNECTIONS = 128
"""Of all groups together: enough for the processors to be what limits."""


def leaders(options: Options) -> list[Finding]:
    """Writes a second of one and of two leaders with one follower each, and on one core.

    The model's costs are those of one leader on all cores; it has to foretell the rest.
    """
    cores = len(os.sched_getaffinity(0))
    rate, costs = _measure(options, "one-leader", 1)
    two, _ = _measure(options, "two-leaders", 2)
    with _on_one_core():
        slow, _ = _measure(options, "one-core", 1)
    expected_two = costs.bound_s(cores) / costs.bound_s(cores, groups=2)
    expected_slow = costs.bound_s(cores) / costs.bound_s(1)
    return [
        Finding("one leader, one follower, durable", rate, "writes/s", note=f"on {cores} cores"),
        Finding("two such groups to one", two / rate, note=f"the model says {expected_two:.2f}"),
        Finding("one core to all", slow / rate, note=f"the model says {expected_slow:.2f}"),
    ]


def _measure(options: Options, name: str, groups: int) -> tuple[float, Costs]:
    """:return: writes a second of all groups together, and what each write took."""
    with ExitStack() as stack:
        clusters = []
        for number in range(groups):
            folder = options.folder / f"{name}-{number}"
            clusters.append(LocalCluster(1, folder, data_root=folder / "data"))
            stack.enter_context(clusters[-1])
        before = _usages(clusters)
        loads = _load_all(clusters, options.seconds)
        leader, followers = (
            now - then for now, then in zip(_usages(clusters), before, strict=True)
        )
    answers = max(sum(load.answers for load in loads), 1)
    # Loads at the same time cannot tell their own processor time apart: it is counted once.
    load_s = loads[0].cpu_s if groups == 1 else 0.0
    costs = Costs(leader.cpu_s / answers, followers.cpu_s / answers, load_s / answers)
    return sum(load.per_s for load in loads), costs


def _load_all(clusters: list[LocalCluster], seconds: int) -> list[Load]:
    connections = _CONNECTIONS // len(clusters)
    with ThreadPoolExecutor(len(clusters)) as pool:
        running = [
            pool.submit(run_wrk, cluster.leader.url, PUTS, connections, seconds)
            for cluster in clusters
        ]
        return [load.result() for load in running]


def _usages(clusters: list[LocalCluster]) -> tuple[Usage, Usage]:
    """What all leaders have used, and all followers."""
    leaders = (usage_of(cluster.leader.processes) for cluster in clusters)
    followers = (usage_of(node.processes) for cluster in clusters for node in cluster.followers)
    return sum(leaders, Usage()), sum(followers, Usage())


@contextmanager
def _on_one_core() -> Iterator[None]:
    """Everything that is started meanwhile shares one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)
