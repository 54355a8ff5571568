"""Writes a history down while it happens."""

import itertools
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Self

from tests.chaos.history import (
    Campaign,
    Emptied,
    End,
    Event,
    Killed,
    NodeCopy,
    Operation,
    Record,
    encode,
)


class Recorder:
    """One history file, for many threads at a time; a context manager that closes it.

    :param path: of the file, which is made or replaced.
    :param campaign: its first record.
    """

    def __init__(self, path: Path, campaign: Campaign) -> None:
        self.path = path
        self.outcomes: Counter[str] = Counter()
        """How many operations ended in which outcome so far."""
        self._problems: list[str] = []
        self._origin_ns = time.monotonic_ns()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._confirmed = threading.Condition(self._lock)
        self._file = path.open("wb")
        self._write(campaign)

    def now_ns(self) -> int:
        """The history's time."""
        return time.monotonic_ns() - self._origin_ns

    def next_id(self) -> int:
        """A number for an operation that begins."""
        return next(self._ids)

    def operation(self, operation: Operation) -> None:
        """An operation has ended."""
        self._write(operation)
        with self._lock:
            self.outcomes[operation.outcome] += 1
            if operation.outcome == "confirmed":
                self._confirmed.notify_all()

    def wait_for_confirmation(self, timeout_s: float) -> None:
        """Return at the moment when the next write is confirmed, or after the time."""
        with self._confirmed:
            self._confirmed.wait(timeout_s)

    def event(self, text: str, fault: int | None = None) -> None:
        """Something was done to the nodes, or came of it."""
        self._write(Event(at_ns=self.now_ns(), fault=fault, text=text))

    def killed(self, node: str) -> None:
        """A node was killed."""
        self._write(Killed(at_ns=self.now_ns(), node=node))

    def emptied(self, node: str) -> None:
        """A dead node's directory was deleted."""
        self._write(Emptied(at_ns=self.now_ns(), node=node))

    def problem(self, text: str) -> None:
        """Something went wrong with a node that no fault explains."""
        with self._lock:
            self._problems.append(text)
        self.event(f"problem: {text}")

    def copy(self, copy: NodeCopy) -> None:
        """A node's copy at the end."""
        self._write(copy)

    def end(self) -> None:
        """The campaign has come to its end."""
        self._write(End(at_ns=self.now_ns(), problems=list(self._problems)))

    def _write(self, record: Record) -> None:
        line = encode(record) + b"\n"
        with self._lock:
            self._file.write(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
