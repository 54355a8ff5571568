"""The simulated network delay: what was drawn, and what really happened."""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import gevent
from gevent.event import Event

from kvstore.node.precise_timer import PreciseTimer


@dataclass(frozen=True, slots=True)
class DelayRange:
    """The range that delays are drawn from, uniformly.

    :param min_ms: from 0.
    :param max_ms: from ``min_ms``.
    """

    min_ms: float
    max_ms: float


class HeldBack(NamedTuple):
    """A delay that happened.

    :param drawn_ms: what it should have been.
    :param began_s: monotonic time; ``ended_s`` likewise.
    """

    drawn_ms: float
    began_s: float
    ended_s: float


class DelayStatistics:
    """Drawn and real delays of one follower, as running sums (Welford 1962)."""

    def __init__(self) -> None:
        self.count = 0
        self.mean_drawn_ms = 0.0
        self.mean_happened_ms = 0.0
        self._drawn_squares = 0.0
        self._happened_squares = 0.0
        self._products = 0.0

    def add(self, drawn_ms: float, happened_ms: float) -> None:
        """Count one delay."""
        self.count += 1
        drawn_off = drawn_ms - self.mean_drawn_ms
        happened_off = happened_ms - self.mean_happened_ms
        self.mean_drawn_ms += drawn_off / self.count
        self.mean_happened_ms += happened_off / self.count
        self._drawn_squares += drawn_off * (drawn_ms - self.mean_drawn_ms)
        self._happened_squares += happened_off * (happened_ms - self.mean_happened_ms)
        self._products += drawn_off * (happened_ms - self.mean_happened_ms)

    @property
    def correlation(self) -> float | None:
        """Pearson's correlation; None while either side has not varied."""
        scale = math.sqrt(self._drawn_squares * self._happened_squares)
        return self._products / scale if scale > 0 else None


class SimulatedDelay:
    """The delay before every replication request to one follower.

    :param delay_range: what to draw from, at first; ``range`` may be replaced at run time.
    :param draw: a function like :func:`random.uniform`.
    """

    def __init__(
        self, delay_range: DelayRange, draw: Callable[[float, float], float] = random.uniform
    ) -> None:
        self.statistics = DelayStatistics()
        self.latest: HeldBack | None = None
        self.range = delay_range
        self._draw = draw
        self._timer = PreciseTimer()

    def wait(self, interrupt: Event | None = None) -> bool:
        """Draw a delay and wait for that long.

        :param interrupt: ends the delay when it is set.
        :return: whether it lasted its full time; otherwise it is not counted.
        """
        drawn_ms = self._draw(self.range.min_ms, self.range.max_ms)
        if drawn_ms > 0:
            # The requests to the other followers are formed first. Otherwise that would go on when
            # a short delay is over, and make it longer.
            gevent.sleep(0)
        began_s = time.monotonic()
        if drawn_ms > 0 and not self._timer.sleep(drawn_ms / 1000, interrupt):
            return False
        self.latest = HeldBack(drawn_ms, began_s, time.monotonic())
        self.statistics.add(drawn_ms, (self.latest.ended_s - began_s) * 1000)
        return True
