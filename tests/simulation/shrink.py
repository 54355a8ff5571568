"""A failing schedule made small: without the faults and writes that the failure does not need."""

from collections import defaultdict, deque
from collections.abc import Callable, Collection, Mapping
from functools import partial
from random import Random

from tests.simulation.clock import Clock
from tests.simulation.schedule import Schedule

Draws = Mapping[str, Collection[tuple[int, float]]]
"""What each cause has drawn: number of bits, 0 for a fraction, and the result."""


class RecordedRandom(Random):
    """Draws that stay as they were when other causes are left out.

    :param earlier: are drawn again; behind them the seed decides.
    """

    def __init__(self, seed: int, earlier: Draws) -> None:
        super().__init__(seed)
        self.clock = Clock()  # knows the cause of what is going on
        self.draws: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        self._earlier = {cause: deque(draws) for cause, draws in earlier.items()}

    def random(self) -> float:
        return self._draw(0, super().random)

    def getrandbits(self, k: int) -> int:
        return int(self._draw(k, partial(super().getrandbits, k)))

    def _draw(self, bits: int, fresh: Callable[[], float]) -> float:
        earlier = self._earlier.get(self.clock.cause)
        drawn = earlier.popleft() if earlier else None
        if drawn is None or drawn[0] != bits:
            drawn = (bits, fresh())
        self.draws[self.clock.cause].append(drawn)
        return drawn[1]


class Attempt:
    """One run of a seed's schedule.

    :param left_out: causes of what does not happen.
    :param earlier: what the other causes draw.
    """

    def __init__(
        self, seed: int, left_out: frozenset[str] = frozenset(), earlier: Draws | None = None
    ) -> None:
        random = RecordedRandom(seed, earlier or {})
        self.schedule = Schedule(seed, random=random, left_out=left_out)
        random.clock = self.schedule.world.clock
        self.failure = self.schedule.run()
        self.invariant = getattr(self.failure, "invariant", type(self.failure))
        self.left_out = left_out
        self.draws = random.draws


def shrink(seed: int) -> Attempt:
    """Leave out halves, quarters … of a schedule's causes while it violates the same invariant.

    :return: the smallest failure that was found; the schedule as it is, if it does not fail.
    """
    smallest = Attempt(seed)
    size = len(smallest.schedule.causes) if smallest.failure else 0
    while size > 0:
        start = 0
        while start < len(smallest.schedule.causes):
            more = smallest.schedule.causes[start : start + size]
            attempt = Attempt(seed, smallest.left_out.union(more), smallest.draws)
            if attempt.invariant == smallest.invariant:
                smallest = attempt
            else:
                start += size
        size //= 2
    return smallest
