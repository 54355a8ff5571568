"""Injects the faults of a schedule, and undoes them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from analysis.nodes.errors import NodeUnavailableError
from tests.chaos.cluster import ChaosCluster
from tests.chaos.fault import Action, Fault, Way
from tests.chaos.recorder import Recorder
from tests.support.tcp_proxy import BOTH, Direction

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
    """Runs a schedule on a cluster.

    :param seed: of what the schedule leaves open: which requests are replayed.
    :param stopped: when it is set no fault begins any more, and those that last end.
    """

    def __init__(
        self,
        cluster: ChaosCluster,
        schedule: list[Fault],
        recorder: Recorder,
        seed: int,
        stopped: threading.Event,
    ) -> None:
        self._cluster = cluster
        self._schedule = schedule
        self._recorder = recorder
        self._random = random.Random(f"nemesis {seed}")
        self._stopped = stopped
        self._in_flight: dict[int, str] = {}
        self._on_processes: dict[Action, Callable[[Fault, list[str]], None]] = {
            "kill": self._kill,
            "empty": self._kill,
            "kill worker": self._kill_workers,
            "stop": self._stop,
            "put back": self._put_back,
            "freeze": self._freeze,
        }

    @property
    def in_flight(self) -> list[str]:
        """The faults that last now."""
        return list(self._in_flight.values())

    def run(self) -> None:
        """Inject every fault at its time; returns when the last one is undone."""
        start_s = time.monotonic()
        with ThreadPoolExecutor(_MOST_IN_FLIGHT) as threads:
            for fault in self._schedule:
                if self._stopped.wait(max(0.0, start_s + fault.at_s - time.monotonic())):
                    break
                threads.submit(self._inject, fault)

    def _inject(self, fault: Fault) -> None:
        text = fault.describe()
        self._in_flight[fault.number] = text
        self._recorder.event(f"begins: {text}", fault.number)
        try:
            self._inject_and_undo(fault)
            self._recorder.event(f"ended: {text}", fault.number)
        except Exception as error:  # noqa: BLE001 (a fault that is not undone spoils the rest)
            self._recorder.problem(f"{text}: {error!r}")
            self._stopped.set()
        finally:
            del self._in_flight[fault.number]

    def _inject_and_undo(self, fault: Fault) -> None:
        if fault.action in self._on_processes:
            with self._reserved(fault) as names:
                self._on_processes[fault.action](fault, names)
        elif fault.action == "replay":
            self._replay(fault)
        elif fault.action == "raise quorum":
            self._raise_quorum(fault)
        else:
            self._disturb_links(fault)

    @contextmanager
    def _reserved(self, fault: Fault) -> Iterator[list[str]]:
        """Reserve those nodes of a fault that no other fault has reserved."""
        with ExitStack() as stack:
            taken: list[str] = []
            for name in fault.nodes:
                lock = self._cluster.reserved[name]
                if lock.acquire(timeout=_GRASP_S):
                    stack.callback(lock.release)
                    taken.append(name)
                else:
                    self._recorder.event(f"{name} is left out: another fault has it", fault.number)
            yield taken

    # Processes

    def _kill(self, fault: Fault, names: list[str]) -> None:
        emptied = self._may_lose(fault, [name for name in names if name in fault.emptied])
        self._cluster.crash(names, on_confirmation=fault.on_confirmation)
        for name in emptied:
            self._cluster.empty(name)
        self._restart_later(fault, names)
        for name in emptied:
            self._cluster.returned(name)

    def _kill_workers(self, _fault: Fault, names: list[str]) -> None:
        for name in names:
            self._cluster.kill_worker(name)
        for name in names:
            self._cluster.wait_until_serving(name)

    def _stop(self, fault: Fault, names: list[str]) -> None:
        for name in names:
            self._cluster.terminate(name)
        self._restart_later(fault, names)

    def _freeze(self, fault: Fault, names: list[str]) -> None:
        for name in names:
            self._cluster.nodes[name].freeze()
        self._stopped.wait(fault.seconds)
        for name in names:
            self._cluster.nodes[name].thaw()

    def _put_back(self, fault: Fault, names: list[str]) -> None:
        self._cluster.crash(names)
        for name in names:
            self._cluster.keep_copy(name)
        self._restart(names)
        self._stopped.wait(fault.seconds)
        lost = self._may_lose(fault, names)
        self._cluster.crash(names, on_confirmation=fault.on_confirmation)
        for name in lost:
            self._cluster.put_back(name)
        self._restart(names)
        for name in lost:
            self._cluster.returned(name)

    def _may_lose(self, fault: Fault, names: list[str]) -> list[str]:
        allowed = self._cluster.may_lose(names)
        if allowed != names:
            self._recorder.event(f"only {allowed} may lose their copies now", fault.number)
        return allowed

    def _restart_later(self, fault: Fault, names: list[str]) -> None:
        self._stopped.wait(fault.seconds)
        for again_s in fault.kills_again_s:
            for name in names:
                self._cluster.start(name)
            self._stopped.wait(again_s)
            self._cluster.crash(names)
        self._restart(names)

    def _restart(self, names: list[str]) -> None:
        for name in names:
            self._cluster.start(name)
        for name in names:
            self._cluster.wait_until_serving(name)

    # The leader's write quorum

    def _raise_quorum(self, fault: Fault) -> None:
        """Only ever above W: what is confirmed meanwhile is held by at least as many."""
        usual = self._cluster.write_quorum
        quorum = self._random.randint(usual, len(self._cluster.followers))
        self._try_to_set_quorum(fault, quorum)
        self._stopped.wait(fault.seconds)
        self._try_to_set_quorum(fault, usual)

    def _try_to_set_quorum(self, fault: Fault, quorum: int) -> None:
        try:
            self._cluster.leader.set_quorum(quorum)
            self._recorder.event(f"W is {quorum}", fault.number)
        except NodeUnavailableError as error:  # a leader that is dead or frozen now
            self._recorder.event(f"W is not changed: {error}", fault.number)

    # Links

    def _disturb_links(self, fault: Fault) -> None:
        links = [self._cluster.link(name) for name in fault.nodes]
        for link in links:
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
        for link in links:
            link.heal()

    def _replay(self, fault: Fault) -> None:
        for name in fault.nodes:
            link = self._cluster.link(name)
            seen = [request for path in _REPLAYED_PATHS for request in link.requests(path)]
            count = min(len(seen), _REPLAYED_REQUESTS)
            answers: Counter[int | str] = Counter()
            try:
                for request in self._random.sample(seen, count):
                    answers[link.replay(request).status] += 1
            except OSError as error:  # a follower that is dead or frozen now
                answers[type(error).__name__] += 1
            self._recorder.event(f"{name} answered replays: {dict(answers)}", fault.number)
