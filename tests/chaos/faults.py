"""Makes the faults of a schedule happen, and undoes them."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from analysis.nodes.node_client import NodeUnavailableError
from tests.chaos.cluster import ChaosCluster
from tests.chaos.fault import Fault, Way
from tests.chaos.recorder import Recorder
from tests.support.tcp_proxy import BOTH, Direction

_ENTRIES_PATH = "/replicate"
_REPLAYED_PATHS = (_ENTRIES_PATH, "/replicate/claim", "/replicate/snapshot", "/replicate/hello")
_REPLAYED_REQUESTS = 20
_GRASP_S = 0.1  # whoever only looks at a node lets go of it sooner
_WAYS: dict[Way, tuple[Direction, ...]] = {
    "both ways": BOTH,
    "to the follower": (Direction.TO_SERVER,),
    "to the leader": (Direction.TO_CLIENT,),
}


class FaultMaker:
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
        self._random = random.Random(f"faults {seed}")
        self._stopped = stopped
        self._current: dict[int, str] = {}
        self._make: dict[str, Callable[[Fault], None]] = {
            "kill": self._kill,
            "kill worker": self._kill_workers,
            "stop": self._stop,
            "empty": self._empty,
            "put back": self._put_back,
            "freeze": self._freeze,
            "cut": self._disturb_links,
            "stall": self._disturb_links,
            "hold": self._disturb_links,
            "slow": self._disturb_links,
            "refuse": self._disturb_links,
            "replay": self._replay,
            "raise quorum": self._raise_quorum,
        }

    @property
    def current(self) -> list[str]:
        """The faults that last now."""
        return list(self._current.values())

    def run(self) -> None:
        """Make every fault at its time; returns when the last one is undone."""
        start_s = time.monotonic()
        threads = []
        for fault in self._schedule:
            self._stopped.wait(max(0.0, start_s + fault.at_s - time.monotonic()))
            if self._stopped.is_set():
                break
            thread = threading.Thread(target=self._run_one, args=(fault,), daemon=True)
            thread.start()
            threads.append(thread)
        for thread in threads:
            thread.join()

    def _run_one(self, fault: Fault) -> None:
        text = fault.describe()
        self._current[fault.number] = text
        self._recorder.event(f"begins: {text}", fault.number)
        try:
            self._make[fault.action](fault)
            self._recorder.event(f"ended: {text}", fault.number)
        except Exception as error:  # noqa: BLE001 (a fault that is not undone spoils the rest)
            self._recorder.problem(f"{text}: {error!r}")
            self._stopped.set()
        finally:
            del self._current[fault.number]

    def _wait(self, seconds: float) -> None:
        self._stopped.wait(seconds)

    @contextmanager
    def _in_hand(self, fault: Fault) -> Iterator[list[str]]:
        """Take those nodes of a fault that no other fault has in hand."""
        with ExitStack() as stack:
            taken: list[str] = []
            for name in fault.nodes:
                lock = self._cluster.in_hand[name]
                if lock.acquire(timeout=_GRASP_S):
                    stack.callback(lock.release)
                    taken.append(name)
                else:
                    self._recorder.event(f"{name} is left out: another fault has it", fault.number)
            yield taken

    # Processes

    def _kill(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            self._cluster.crash(names, on_confirmation=fault.on_confirmation)
            self._wait(fault.seconds)
            self._start(fault, names)

    def _stop(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            for name in names:
                self._cluster.terminate(name)
            self._wait(fault.seconds)
            self._start(fault, names)

    def _empty(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            emptied = self._may_lose(fault, [name for name in names if name in fault.emptied])
            self._cluster.crash(names, on_confirmation=fault.on_confirmation)
            for name in emptied:
                self._cluster.empty(name)
            self._wait(fault.seconds)
            self._start(fault, names)
            for name in emptied:
                self._cluster.returned(name)

    def _put_back(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            self._cluster.crash(names)
            for name in names:
                self._cluster.keep_copy(name)
            self._start(fault, names)
            self._wait(fault.seconds)
            lost = self._may_lose(fault, names)
            self._cluster.crash(names, on_confirmation=fault.on_confirmation)
            for name in lost:
                self._cluster.put_back(name)
            self._start(fault, names)
            for name in lost:
                self._cluster.returned(name)

    def _may_lose(self, fault: Fault, names: list[str]) -> list[str]:
        allowed = self._cluster.may_lose(names)
        if allowed != names:
            self._recorder.event(f"only {allowed} may lose their copies now", fault.number)
        return allowed

    def _start(self, fault: Fault, names: list[str]) -> None:
        for again_s in fault.kills_again_s:
            for name in names:
                self._cluster.start(name)
            self._wait(again_s)
            self._cluster.crash(names)
        for name in names:
            self._cluster.start(name)
        for name in names:
            self._cluster.wait_until_serving(name)

    def _kill_workers(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            for name in names:
                self._cluster.kill_worker(name)
            for name in names:
                self._cluster.wait_until_serving(name)

    def _freeze(self, fault: Fault) -> None:
        with self._in_hand(fault) as names:
            for name in names:
                self._cluster.nodes[name].freeze()
            self._wait(fault.seconds)
            for name in names:
                self._cluster.nodes[name].thaw()

    def _raise_quorum(self, fault: Fault) -> None:
        """Only ever above W: what is confirmed meanwhile is held by at least as many."""
        usual = self._cluster.write_quorum
        quorum = self._random.randint(usual, len(self._cluster.followers))
        self._try_to_set_quorum(fault, quorum)
        self._wait(fault.seconds)
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
        self._wait(fault.seconds)
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
