"""Background clients: they write at a steady pace, and read from followers, and count outcomes."""

import random
import time
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import gevent
import numpy as np
import requests

from analysis.study.statistics import percentile
from kvstore.api_types import Found
from kvstore.client import IndefiniteError, NodeUnavailableError, RefusedError
from kvstore.client.answers import maybe
from playground.stage import Stage

HISTORY_S = 60
PACE_S = 0.25
"""Each client writes once in this time, unless the answer takes longer."""
MAX_CLIENTS = 50
MAX_KEYS = 1000

_TIMEOUT_S = 3.0


@dataclass
class Second:
    """What happened in one second.

    :param outcomes: number of writes by outcome: confirmed, refused, open, unreachable.
    :param latencies_ms: of the confirmed ones.
    """

    outcomes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    latencies_ms: list[float] = field(default_factory=list)


@dataclass
class Staleness:
    """Reads of one follower, in the last minute.

    :param stale: those older than the newest version confirmed before the read began.
    """

    reads: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=2000))

    def share(self, now_s: float) -> float | None:
        """The share of stale ones; None without any."""
        recent = [stale for read_s, stale in self.reads if now_s - read_s < HISTORY_S]
        return sum(recent) / len(recent) if recent else None


class BackgroundClients:
    """The clients.

    :param stage: where they write.
    """

    def __init__(self, stage: Stage) -> None:
        self.keys = 10
        self.staleness: defaultdict[str, Staleness] = defaultdict(Staleness)
        self._stage = stage
        self._seconds: dict[int, Second] = {}
        self._greenlets: list[gevent.Greenlet[[], None]] = []
        self._confirmed: dict[str, int] = {}

    @property
    def number(self) -> int:
        """How many there are."""
        return len(self._greenlets)

    def set_number(self, number: int) -> None:
        """Start or end some."""
        number = max(0, min(number, MAX_CLIENTS))
        while len(self._greenlets) > number:
            self._greenlets.pop().kill(block=False)
        while len(self._greenlets) < number:
            self._greenlets.append(gevent.spawn(self._run))

    def set_keys(self, keys: int) -> None:
        """How many keys they write."""
        self.keys = max(1, min(keys, MAX_KEYS))

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Nobody writes meanwhile, and afterwards no version of before means anything: the cluster
        may be a new one.
        """
        number = self.number
        self.set_number(0)
        try:
            yield
        finally:
            self._confirmed.clear()
            self.staleness.clear()
            self.set_number(number)

    def _run(self) -> None:
        with self._stage.client(_TIMEOUT_S) as client:
            while True:
                begin_s = time.monotonic()
                key = f"play-{random.randrange(self.keys)}"
                try:
                    version = client.put(key, random.randrange(1000)).version
                except RefusedError:
                    self._count("refused")
                except IndefiniteError:
                    self._count("open")
                except NodeUnavailableError:
                    self._count("unreachable")
                else:
                    self._confirmed[key] = max(version, self._confirmed.get(key, 0))
                    self._count("confirmed", 1000 * (time.monotonic() - begin_s))
                self._read()
                gevent.sleep(max(PACE_S - (time.monotonic() - begin_s), 0.01))

    def _count(self, outcome: str, latency_ms: float | None = None) -> None:
        second = self._seconds.setdefault(int(time.monotonic()), Second())
        second.outcomes[outcome] += 1
        if latency_ms is not None:
            second.latencies_ms.append(latency_ms)

    def _read(self) -> None:
        """Read a key from a follower, and judge whether it is stale."""
        healthy = [
            each
            for each in self._stage.followers
            if not self._stage.faults(each) & {"frozen", "stopped"}
        ]
        if not healthy or not self._confirmed:
            return
        actor = random.choice(healthy)
        key, version = random.choice(list(self._confirmed.items()))
        try:
            answer = actor.node.get(key)
        except requests.RequestException:
            return
        found = maybe(answer, Found)
        if found is not None or answer.status_code == 404:
            stale = found is None or found.version < version
            self.staleness[actor.name].reads.append((time.monotonic(), stale))

    def history(self) -> list[dict[str, float | None]]:
        """The last minute, oldest second first; the second that has not ended is left out."""
        now = int(time.monotonic())
        for second in [each for each in self._seconds if each < now - HISTORY_S]:
            del self._seconds[second]
        return [
            _figures(self._seconds.get(second, Second())) for second in range(now - HISTORY_S, now)
        ]


def _figures(second: Second) -> dict[str, float | None]:
    latencies_ms = np.array(second.latencies_ms)

    def rank(percent: float) -> float | None:
        return round(percentile(latencies_ms, percent), 2) if len(latencies_ms) else None

    names = ("confirmed", "refused", "open", "unreachable")
    return {
        **{name: second.outcomes.get(name, 0) for name in names},
        "p50": rank(50),
        "p95": rank(95),
    }
