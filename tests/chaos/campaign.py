"""One campaign: start the nodes, let clients work while faults happen, heal, and look."""

import random
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from analysis.nodes.errors import NodeError, NodeUnavailableError
from analysis.nodes.node import Node
from tests.chaos.client import Client, Write
from tests.chaos.cluster import ChaosCluster
from tests.chaos.history import Campaign, NodeCopy, describe_outcomes, shorten
from tests.chaos.nemesis import Nemesis
from tests.chaos.recorder import Recorder
from tests.chaos.schedule import make_schedule
from tests.chaos.workload import Workload

_REPL_TIMEOUT_S = 1.0
_CLIENT_TIMEOUT_S = 2.5  # longer than a node may take, if it is neither dead nor frozen
_CONVERGENCE_TIMEOUT_S = 60.0
_TICK_S = 0.2
_BALLAST_KEYS = 12
_BALLAST_LENGTH = 200_000


Show = Callable[[float, str], None]
"""Gets the seconds since the first operation, and how the campaign stands."""


def plan(
    *,
    seed: int,
    seconds: float = 60.0,
    followers: int = 5,
    clients: int = 8,
    write_quorum: int = 2,
    keys: int = 5,
) -> Campaign:
    """What a campaign is to do.

    :param seed: decides the faults, and what each client does.
    :param seconds: how long clients work and faults happen.
    :param write_quorum: W, from 1 to the number of followers.
    :param keys: number of keys.
    :raises ValueError: W is another number.
    """
    if not 1 <= write_quorum <= followers:
        raise ValueError("the write quorum must be from 1 to the number of followers")
    settings = {
        "REPL_TIMEOUT": f"{_REPL_TIMEOUT_S:g}",
        "MIN_DELAY": "0",
        "MAX_DELAY": "3",
        # With a short log a follower that was away needs a snapshot.
        "LOG_RETAIN": random.Random(f"settings {seed}").choice(("20", "200", "20000")),
    }
    return Campaign(
        command=f"python -m tests.chaos --seed {seed} --seconds {seconds:g} --followers {followers}"
        f" --clients {clients} --write-quorum {write_quorum} --keys {keys}",
        seed=seed,
        seconds=seconds,
        followers=followers,
        clients=clients,
        write_quorum=write_quorum,
        keys=[f"key{number}" for number in range(1, keys + 1)],
        ballast=[f"ballast{number}" for number in range(1, _BALLAST_KEYS + 1)],
        node_settings=settings,
        schedule=make_schedule(seed, seconds, followers, write_quorum),
    )


def run(campaign: Campaign, directory: Path, show: Show) -> Path:
    """Run a campaign; returns when all its nodes are gone.

    :param directory: for the history and the nodes' logs.
    :param show: called a few times a second.
    :return: the history file.
    :raises NodeError: the nodes could not be started.
    """
    path = directory / "history.jsonl"
    stopped = threading.Event()
    with (
        tempfile.TemporaryDirectory(prefix="kvstore-chaos-") as scratch,
        Recorder(path, campaign) as recorder,
        ChaosCluster(campaign, Path(scratch), recorder, stopped) as cluster,
    ):
        try:
            _load_ballast(campaign, cluster, recorder)
            _disturb(campaign, cluster, recorder, stopped, show)
            _finish(campaign, cluster, recorder)
        finally:
            cluster.keep_logs(directory / "logs")
    return path


def _load_ballast(campaign: Campaign, cluster: ChaosCluster, recorder: Recorder) -> None:
    """Fill the nodes, so that snapshots and takeovers take several messages."""
    loader = Client("loader", recorder, time.sleep)
    for key in campaign.ballast:
        loader.write(cluster.leader, Write(key, f"{key}+{_BALLAST_LENGTH}"), _CLIENT_TIMEOUT_S)


def _disturb(
    campaign: Campaign,
    cluster: ChaosCluster,
    recorder: Recorder,
    stopped: threading.Event,
    show: Show,
) -> None:
    nemesis = Nemesis(cluster, campaign.schedule, recorder, campaign.seed, stopped)
    start_s = time.monotonic()
    with ThreadPoolExecutor(1) as threads:
        try:
            with Workload(cluster, recorder, campaign, _CLIENT_TIMEOUT_S) as workload:
                threads.submit(nemesis.run)
                while (elapsed_s := time.monotonic() - start_s) < campaign.seconds:
                    faults = "; ".join(nemesis.in_flight) or "no fault"
                    show(elapsed_s, f"{describe_outcomes(recorder.outcomes)} | {faults}")
                    if stopped.wait(_TICK_S) or workload.failures:
                        break
            for failure in workload.failures:
                recorder.problem(failure)
        finally:
            # Before the nodes are killed: a fault that is being undone starts nodes.
            stopped.set()


def _finish(campaign: Campaign, cluster: ChaosCluster, recorder: Recorder) -> None:
    """Heal everything, wait until all nodes hold the same, and ask for what they hold."""
    recorder.event("healing everything")
    try:
        cluster.heal()
        cluster.wait_for_convergence(_CONVERGENCE_TIMEOUT_S)
        recorder.event("all nodes are ready and hold the same index")
    except (NodeError, TimeoutError) as error:
        recorder.problem(f"the nodes did not converge: {error}")
    reader = Client("reader", recorder, time.sleep)
    for node in cluster.nodes.values():
        for key in [*campaign.keys, *campaign.ballast]:
            reader.read(node, key, _CLIENT_TIMEOUT_S)
    for node in cluster.nodes.values():
        _record_copy(node, recorder)
    for problem in cluster.internal_errors():
        recorder.problem(problem)
    recorder.end()


def _record_copy(node: Node, recorder: Recorder) -> None:
    try:
        copy = node.copy()
    except NodeUnavailableError as error:
        recorder.problem(f"no copy of {node.name}: {error}")
        return
    recorder.copy(
        NodeCopy(
            node=node.name,
            index=copy.index,
            epoch=copy.epoch,
            store={key: shorten(value) for key, value in copy.store.items()},
            versions=copy.versions,
            digest=copy.digest,
        )
    )
