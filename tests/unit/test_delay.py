"""The simulated delay: what is drawn, what happens, and the figures about both."""

import random
import statistics

import gevent
import pytest
from gevent.event import Event

from kvstore.node.delay import DelayRange, DelayStatistics, SimulatedDelay


@pytest.mark.parametrize("count", [2, 3, 500])
def test_statistics_are_those_of_the_textbook(count: int) -> None:
    numbers = random.Random(count)
    drawn = [numbers.uniform(0.1, 1.0) for _ in range(count)]
    happened = [each * 1.5 + numbers.uniform(0, 0.3) for each in drawn]
    running = DelayStatistics()
    for pair in zip(drawn, happened, strict=True):
        running.add(*pair)
    assert running.count == count
    assert running.mean_drawn_ms == pytest.approx(statistics.mean(drawn))
    assert running.mean_happened_ms == pytest.approx(statistics.mean(happened))
    assert running.correlation == pytest.approx(statistics.correlation(drawn, happened))


@pytest.mark.parametrize("pairs", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 3.0)], [(1, 2), (2, 2)]])
def test_correlation_needs_both_sides_to_vary(pairs: list[tuple[float, float]]) -> None:
    running = DelayStatistics()
    for pair in pairs:
        running.add(*pair)
    assert running.correlation is None


@pytest.mark.parametrize("drawn_ms", [0.3, 2.0, 7.0])
def test_drawn_delay_really_happens(drawn_ms: float) -> None:
    delay = SimulatedDelay(DelayRange(0.1, 9.0), lambda *_: drawn_ms)
    assert delay.wait()
    assert delay.statistics.count == 1
    assert delay.statistics.mean_drawn_ms == drawn_ms
    # It may end a little early by what waking takes, and late by what else runs.
    assert delay.statistics.mean_happened_ms > drawn_ms * 0.5


def test_delay_is_drawn_from_the_range_in_force() -> None:
    asked = []

    def draw(low: float, high: float) -> float:
        asked.append((low, high))
        return 0.0

    delay = SimulatedDelay(DelayRange(0.1, 1.0), draw)
    delay.wait()
    delay.range = DelayRange(5.0, 6.0)
    delay.wait()
    assert asked == [(0.1, 1.0), (5.0, 6.0)]
    assert delay.statistics.count == 2


def test_interrupted_delay_ends_and_does_not_count() -> None:
    delay = SimulatedDelay(DelayRange(0, 60_000), lambda *_: 60_000)
    interrupt = Event()
    waiting = gevent.spawn(delay.wait, interrupt)
    gevent.sleep(0)
    interrupt.set()
    assert waiting.get(timeout=30) is False
    assert delay.statistics.count == 0
