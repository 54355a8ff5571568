"""One campaign: start the nodes, let clients work while faults happen, heal, and look."""

import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from analysis.nodes.node import Node, NodeError
from analysis.nodes.node_client import NodeUnavailableError
from tests.chaos.client import Client, Write
from tests.chaos.cluster import ChaosCluster
from tests.chaos.faults import FaultMaker
from tests.chaos.history import Campaign, NodeCopy
from tests.chaos.long_values import shorten
from tests.chaos.recorder import Recorder
from tests.chaos.schedule import make_schedule
from tests.chaos.workload import Workload

HISTORY_NAME = "history.jsonl"
LOGS_NAME = "logs"

_REPL_TIMEOUT_S = 1.0
_CLIENT_TIMEOUT_S = 2.5  # longer than a node may take, if it is neither dead nor frozen
_CONVERGENCE_TIMEOUT_S = 60.0
_TICK_S = 0.2
_BALLAST_KEYS = 12
_BALLAST_LENGTH = 200_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a campaign is to do.

    :param seconds: how long clients work and faults happen.
    :param seed: decides the faults, and what each client does.
    :param write_quorum: W, from 1 to the number of followers.
    :param keys: number of keys.
    """

    seconds: float = 60.0
    seed: int
    followers: int = 5
    clients: int = 8
    write_quorum: int = 2
    keys: int = 5

    @property
    def command(self) -> str:
        """What repeats the campaign."""
        return (
            f"python -m tests.chaos --seed {self.seed} --seconds {self.seconds:g} "
            f"--followers {self.followers} --clients {self.clients} "
            f"--write-quorum {self.write_quorum} --keys {self.keys}"
        )


@dataclass(frozen=True)
class Tick:
    """How a running campaign stands."""

    elapsed_s: float
    outcomes: dict[str, int]
    faults: list[str]


def plan(options: Options) -> Campaign:
    """Everything that the seed decides."""
    settings = {
        "REPL_TIMEOUT": f"{_REPL_TIMEOUT_S:g}",
        "MIN_DELAY": "0",
        "MAX_DELAY": "3",
        # With a short log a follower that was away needs a snapshot.
        "LOG_RETAIN": random.Random(f"settings {options.seed}").choice(("20", "200", "20000")),
    }
    return Campaign(
        command=options.command,
        seed=options.seed,
        seconds=options.seconds,
        followers=options.followers,
        clients=options.clients,
        write_quorum=options.write_quorum,
        keys=[f"key{number}" for number in range(1, options.keys + 1)],
        ballast=[f"ballast{number}" for number in range(1, _BALLAST_KEYS + 1)],
        node_settings=settings,
        schedule=make_schedule(
            options.seed, options.seconds, options.followers, options.write_quorum
        ),
    )


def run(campaign: Campaign, directory: Path, show: Callable[[Tick], None]) -> Path:
    """Run a campaign; returns when all its nodes are gone.

    :param directory: for the history and the nodes' logs.
    :param show: called a few times a second.
    :return: the history file.
    :raises NodeError: the nodes could not be started.
    """
    path = directory / HISTORY_NAME
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
            cluster.keep_logs(directory / LOGS_NAME)
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
    show: Callable[[Tick], None],
) -> None:
    maker = FaultMaker(cluster, campaign.schedule, recorder, campaign.seed, stopped)
    making = threading.Thread(target=maker.run, daemon=True)
    start_s = time.monotonic()
    try:
        with Workload(cluster, recorder, campaign, _CLIENT_TIMEOUT_S) as workload:
            making.start()
            while (elapsed_s := time.monotonic() - start_s) < campaign.seconds:
                show(Tick(elapsed_s, dict(recorder.outcomes), maker.current))
                if stopped.wait(_TICK_S) or workload.failures:
                    break
        for failure in workload.failures:
            recorder.problem(failure)
    finally:
        # Before the nodes are killed: a fault that is being undone starts nodes.
        stopped.set()
        if making.ident is not None:
            making.join()


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
