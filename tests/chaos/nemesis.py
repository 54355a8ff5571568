"""Injects the faults of a schedule, and undoes them."""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from analysis.nodes.node import Node
from analysis.nodes.tcp_proxy import BOTH, Direction
from kvstore.client.errors import NodeUnavailableError
from tests.chaos.cluster import ChaosCluster
from tests.chaos.fault import Action, Fault, Way

_ENTRIES_PATH = "/replicate"
_REPLAYED_PATHS = (_ENTRIES_PATH, "/replicate/claim", "/replicate/snapshot", "/replicate/hello")
_REPLAYED_REQUESTS = 20
_GRASP_S = 0.1  # whoever only looks at a node lets go of it sooner
_MOST_IN_FLIGHT = 64  # more than any schedule has
_WAYS: dict[Way, tuple[Direction, ...]] = {
    "both ways": BOTH,
    "to the follower": (Direction.TO_SERVER,),
    "to the leader": (Direction.TO_CLIENT,),
}


class Nemesis:
    """Runs the schedule of a campaign on its cluster, until that is stopped."""

    def __init__(self, cluster: ChaosCluster) -> None:
        self._cluster = cluster
        self._campaign = cluster.campaign
        self._recorder = cluster.recorder
        self._stopped = cluster.stopped
        # What the schedule leaves open: the requests to replay, and the quorum.
        self._random = random.Random(f"nemesis {cluster.campaign.seed}")
        self.in_flight: dict[int, str] = {}
        """The faults that last now, by their numbers."""
        self._on_processes: dict[Action, Callable[[Fault, list[Node]], None]] = {
            "kill": self._kill,
            "empty": self._kill,
            "kill worker": self._kill_workers,
            "stop": self._stop,
            "put back": self._put_back,
            "freeze": self._freeze,
        }

    def run(self) -> None:
        """Inject every fault at its time; returns when the last one is undone."""
        start_s = time.monotonic()
        with ThreadPoolExecutor(_MOST_IN_FLIGHT) as threads:
            for fault in self._campaign.schedule:
                if self._stopped.wait(max(0.0, start_s + fault.at_s - time.monotonic())):
                    break
                threads.submit(self._inject, fault)

    def _inject(self, fault: Fault) -> None:
        text = self.in_flight[fault.number] = fault.describe()
        self._recorder.event(f"fault {fault.number} begins: {text}")
        nodes = [self._cluster.named[name] for name in fault.nodes]
        try:
            if fault.action in self._on_processes:
                with self._reserved(nodes) as reserved:
                    self._on_processes[fault.action](fault, reserved)
            elif fault.action == "replay":
                self._replay(nodes)
            elif fault.action == "raise quorum":
                self._raise_quorum(fault)
            else:
                self._disturb_links(fault, nodes)
            self._recorder.event(f"fault {fault.number} has ended")
        except Exception as error:  # noqa: BLE001 (a fault that is not undone spoils the rest)
            self._recorder.problem(f"{text}: {error!r}")
            self._stopped.set()
        finally:
            del self.in_flight[fault.number]

    @contextmanager
    def _reserved(self, nodes: list[Node]) -> Iterator[list[Node]]:
        """Reserve those nodes that no other fault has reserved."""
        with ExitStack() as stack:
            taken: list[Node] = []
            for node in nodes:
                lock = self._cluster.reserved[node]
                if lock.acquire(timeout=_GRASP_S):
                    stack.callback(lock.release)
                    taken.append(node)
                else:
                    self._recorder.event(f"{node.name} is left out: another fault has it")
            yield taken

    # Processes

    def _kill(self, fault: Fault, nodes: list[Node]) -> None:
        emptied = self._may_lose([node for node in nodes if node.name in fault.emptied])
        self._cluster.crash(nodes, on_confirmation=fault.on_confirmation)
        for node in emptied:
            node.empty()
            self._recorder.emptied(node.name)
        self._restart_later(fault, nodes)
        self._returned(emptied)

    def _kill_workers(self, _fault: Fault, nodes: list[Node]) -> None:
        for node in nodes:
            _, worker, *_ = node.processes
            worker.kill()
            self._recorder.killed(node.name)
        for node in nodes:
            node.wait_until_serving()

    def _stop(self, fault: Fault, nodes: list[Node]) -> None:
        for node in nodes:
            code = node.stop()
            if code != 0:
                self._recorder.problem(f"{node.name} exited with {code} after SIGTERM")
        self._restart_later(fault, nodes)

    def _freeze(self, fault: Fault, nodes: list[Node]) -> None:
        for node in nodes:
            node.freeze()
        self._stopped.wait(fault.seconds)
        for node in nodes:
            node.thaw()

    def _put_back(self, fault: Fault, nodes: list[Node]) -> None:
        copies = {node: node.directory.with_name(f"copy of {node.name}") for node in nodes}
        self._cluster.crash(nodes)
        for node, copy in copies.items():
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(node.directory, copy)
        self._restart(nodes)
        self._stopped.wait(fault.seconds)
        lost = self._may_lose(nodes)
        self._cluster.crash(nodes, on_confirmation=fault.on_confirmation)
        for node in lost:
            node.put_back(copies[node])
            self._recorder.emptied(node.name)
        self._restart(nodes)
        self._returned(lost)

    def _may_lose(self, nodes: list[Node]) -> list[Node]:
        allowed = self._cluster.losses.allow([node.name for node in nodes])
        if len(allowed) < len(nodes):
            self._recorder.event(f"only {allowed} may lose their copies now")
        return [self._cluster.named[name] for name in allowed]

    def _returned(self, nodes: list[Node]) -> None:
        for node in nodes:
            self._cluster.losses.returned(node.name)

    def _restart_later(self, fault: Fault, nodes: list[Node]) -> None:
        self._stopped.wait(fault.seconds)
        for again_s in fault.kills_again_s:
            for node in nodes:
                node.launch()
            self._stopped.wait(again_s)
            self._cluster.crash(nodes)
        self._restart(nodes)

    def _restart(self, nodes: list[Node]) -> None:
        for node in nodes:
            node.launch()
        for node in nodes:
            node.wait_until_serving()

    # The leader's write quorum

    def _raise_quorum(self, fault: Fault) -> None:
        """Only ever above W: what is confirmed meanwhile is held by at least as many."""
        usual = self._campaign.write_quorum
        self._try_to_set_quorum(self._random.randint(usual, self._campaign.followers))
        self._stopped.wait(fault.seconds)
        self._try_to_set_quorum(usual)

    def _try_to_set_quorum(self, quorum: int) -> None:
        try:
            self._cluster.leader.set_quorum(quorum)
            self._recorder.event(f"W is {quorum}")
        except NodeUnavailableError as error:  # a leader that is dead or frozen now
            self._recorder.event(f"W is not changed: {error}")

    # Links

    def _disturb_links(self, fault: Fault, followers: list[Node]) -> None:
        for link in map(self._cluster.link, followers):
            match fault.action:
                case "cut":
                    link.cut(*_WAYS[fault.way])
                case "stall":
                    link.stall(*_WAYS[fault.way])
                case "hold":
                    link.hold(_ENTRIES_PATH)
                case "slow":
                    link.delay(fault.latency_s)
                case "refuse":
                    link.refuse()
        self._stopped.wait(fault.seconds)
        self._cluster.heal(*followers)

    def _replay(self, followers: list[Node]) -> None:
        for follower in followers:
            link = self._cluster.link(follower)
            seen = [request for path in _REPLAYED_PATHS for request in link.requests(path)]
            answers: Counter[int | str] = Counter()
            try:
                for request in self._random.sample(seen, min(len(seen), _REPLAYED_REQUESTS)):
                    answers[link.replay(request).status] += 1
            except OSError as error:  # a follower that is dead or frozen now
                answers[type(error).__name__] += 1
            self._recorder.event(f"{follower.name} answered replays: {dict(answers)}")
