"""A virtual clock: everything that happens is an event on it."""

import heapq
import itertools
from collections.abc import Callable


class Clock:
    """Events in the order of their time, and of their making where that is equal."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.steps = 0
        self.cause = ""
        """What makes happen what happens now: a fault, or a client's turn; empty for none."""
        self._events: list[tuple[float, int, str, Callable[[], None]]] = []
        self._order = itertools.count()

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        event = (self.now_s + seconds, next(self._order), self.cause, call)
        heapq.heappush(self._events, event)

    def step(self) -> None:
        self.now_s, _, cause, call = heapq.heappop(self._events)
        self.steps += 1
        self.do(cause, call)

    def do(self, cause: str, call: Callable[[], None]) -> None:
        """Let something happen now: the cause of everything that comes of it."""
        before, self.cause = self.cause, cause
        call()
        self.cause = before

    def run(self, seconds: float) -> None:
        """Let everything happen that does within a while."""
        end_s = self.now_s + seconds
        while self._events and self._events[0][0] <= end_s:
            self.step()
        self.now_s = end_s

    def run_until(self, reached: Callable[[], bool], within_s: float = 10.0) -> bool:
        """Let things happen until a state is reached.

        :return: whether it was, in time.
        """
        end_s = self.now_s + within_s
        while not reached():
            if not self._events or self._events[0][0] > end_s:
                return False
            self.step()
        return True
