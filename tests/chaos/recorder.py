"""Writes a history down while it happens."""

import itertools
import threading
import time

from tests.chaos.history import Campaign, Event, History, Loss, Operation


class Recorder:
    """Collects one history, from many threads at a time."""

    def __init__(self, campaign: Campaign) -> None:
        self.history = History(campaign=campaign)
        self.ids = itertools.count(1)
        """Numbers for operations."""
        self._origin_ns = time.monotonic_ns()
        self._confirmed = threading.Condition()

    def now_ns(self) -> int:
        """The history's time."""
        return time.monotonic_ns() - self._origin_ns

    def operation(self, operation: Operation) -> None:
        """An operation has ended."""
        self.history.operations.append(operation)
        if operation.outcome == "confirmed":
            with self._confirmed:
                self._confirmed.notify_all()

    def wait_for_confirmation(self, timeout_s: float) -> None:
        """Return at the moment when the next write is confirmed, or after the time."""
        with self._confirmed:
            self._confirmed.wait(timeout_s)

    def event(self, text: str) -> None:
        """Something was done to the nodes, or came of it."""
        self.history.events.append(Event(self.now_ns(), text))

    def killed(self, node: str) -> None:
        """A node was killed."""
        self.history.killed.append(Loss(self.now_ns(), node))

    def emptied(self, node: str) -> None:
        """A dead node's directory was deleted, or put back to an older copy."""
        self.history.emptied.append(Loss(self.now_ns(), node))

    def problem(self, text: str) -> None:
        """Something went wrong with a node that no fault explains."""
        self.history.problems.append(text)
        self.event(f"problem: {text}")
