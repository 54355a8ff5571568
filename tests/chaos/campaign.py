"""One campaign: start the nodes, let clients work while faults happen, heal, and look."""

import math
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec.structs import replace

from analysis.nodes.errors import NodeError
from kvstore.client.errors import NodeUnavailableError
from tests.chaos.client import Client, Write
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Campaign, History, brief, describe_outcomes
from tests.chaos.nemesis import Nemesis
from tests.chaos.schedule import make_schedule
from tests.chaos.workload import KEYS, WorkingClient

_CLIENTS = 8
_CONVERGENCE_TIMEOUT_S = 60.0
_TICK_S = 0.2
# Written once, so that snapshots and takeovers take several messages.
_BALLAST = {f"ballast{number}": f"ballast{number} {'.' * 200_000}" for number in range(1, 13)}

Show = Callable[[float, str], None]
"""Gets the seconds since the first operation, and how the campaign stands."""


def plan(seed: int, seconds: float = 60.0, followers: int = 5, write_quorum: int = 2) -> Campaign:
    """What a campaign is to do.

    :param seed: decides the faults, and what each client does.
    :param seconds: how long clients work and faults happen.
    :param write_quorum: W, from 1 to the number of followers.
    :raises ValueError: W or the time is another number.
    """
    if not 0 < seconds < math.inf:
        raise ValueError("the time must be positive")
    if not 1 <= write_quorum <= followers:
        raise ValueError("the write quorum must be from 1 to the number of followers")
    settings = {
        "REPL_TIMEOUT": "1",
        "MIN_DELAY": "0",
        "MAX_DELAY": "3",
        # With a short log a follower that was away needs a snapshot.
        "LOG_RETAIN": random.Random(f"settings {seed}").choice(("20", "200", "20000")),
    }
    return Campaign(
        command=f"python -m tests.chaos --seed {seed} --seconds {seconds:g}"
        f" --followers {followers} --write-quorum {write_quorum}",
        seed=seed,
        seconds=seconds,
        followers=followers,
        write_quorum=write_quorum,
        node_settings=settings,
        schedule=make_schedule(seed, seconds, followers, write_quorum),
    )


def run(campaign: Campaign, directory: Path, show: Show) -> History:
    """Run a campaign; returns when all its nodes are gone.

    :param directory: for the nodes' data and logs.
    :param show: called a few times a second.
    :raises NodeError: the nodes could not be started.
    """
    with ChaosCluster(campaign, directory) as cluster:
        loader = Client("loader", cluster.recorder)
        for key, value in _BALLAST.items():
            loader.write(cluster.leader, Write(key, value))
        _disturb(cluster, show)
        _finish(cluster)
    history = cluster.recorder.history
    history.operations.sort(key=lambda op: op.start_ns)
    return history


def _disturb(cluster: ChaosCluster, show: Show) -> None:
    seconds, recorder = cluster.campaign.seconds, cluster.recorder
    nemesis = Nemesis(cluster)
    clients = [WorkingClient(f"client{number}", cluster) for number in range(1, _CLIENTS + 1)]
    start_s = time.monotonic()
    with ThreadPoolExecutor(_CLIENTS + 1) as threads:
        try:
            working = [threads.submit(client.work) for client in clients]
            nemesis_at_work = threads.submit(nemesis.run)
            while (elapsed_s := time.monotonic() - start_s) < seconds:
                faults = "; ".join(nemesis.in_flight.copy().values()) or "no fault"
                show(elapsed_s, f"{describe_outcomes(recorder.history.operations)} | {faults}")
                if cluster.stopped.wait(_TICK_S) or any(client.done() for client in working):
                    break
        finally:
            # Before the nodes are killed: a fault that is being undone starts nodes.
            cluster.stopped.set()
    for ended in [*working, nemesis_at_work]:
        if (error := ended.exception()) is not None:
            recorder.problem(f"the campaign failed: {error!r}")


def _finish(cluster: ChaosCluster) -> None:
    """Heal everything, wait until all nodes hold the same, and ask for what they hold."""
    recorder = cluster.recorder
    recorder.event("healing everything")
    try:
        cluster.end_all_faults()
        cluster.wait_for_replication(timeout_s=_CONVERGENCE_TIMEOUT_S)
        cluster.wait_until_ready()
        recorder.event("all nodes are ready and hold the same index")
    except (NodeError, TimeoutError) as error:
        recorder.problem(f"the nodes did not converge: {error}")
    reader = Client("reader", recorder)
    for node in cluster.nodes:
        for key in [*KEYS, *_BALLAST]:
            reader.read(node, key)
    for node in cluster.nodes:
        try:
            copy = node.copy()
        except NodeUnavailableError as error:
            recorder.problem(f"no copy of {node.name}: {error}")
            continue
        store = {key: brief(str(value)) for key, value in copy.store.items()}
        recorder.history.copies[node.name] = replace(copy, store=store)
    for name, excerpt in cluster.internal_errors().items():
        recorder.problem(f"{name} has logged an error:\n{excerpt}")
