"""Requests that wait until an index is reached."""

from collections import defaultdict

from gevent.event import Event


class IndexWaiters:
    """Greenlets, each waiting for an index on a gevent event."""

    def __init__(self) -> None:
        self._waiting: defaultdict[int, set[Event]] = defaultdict(set)
        self._reached = 0

    def wait(self, index: int, timeout_s: float | None) -> None:
        """Wait until the index is reached, the waiters are abandoned, or time is up.

        The caller looks at the state again to see which of the three it was.

        :param timeout_s: None = no limit.
        """
        event = Event()
        self._waiting[index].add(event)
        try:
            event.wait(timeout_s)
        finally:
            waiting = self._waiting.get(index)
            if waiting is not None:
                waiting.discard(event)
                if not waiting:
                    del self._waiting[index]

    def release(self, index: int) -> None:
        """Wake everyone who waits for this index or a lower one."""
        if index <= self._reached:
            self._reached = index  # a forced takeover may take a follower back to an earlier state
            return
        if index - self._reached <= len(self._waiting):
            reached = [i for i in range(self._reached + 1, index + 1) if i in self._waiting]
        else:
            reached = [i for i in self._waiting if i <= index]
        self._reached = index
        for i in reached:
            self._wake(i)

    def abandon(self) -> None:
        """Wake everyone: what they wait for will not come."""
        for index in list(self._waiting):
            self._wake(index)

    def _wake(self, index: int) -> None:
        for event in self._waiting.pop(index):
            event.set()
