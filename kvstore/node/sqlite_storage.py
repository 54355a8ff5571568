"""A node's state in a SQLite file: durable when it says so.

Everything that is queued goes into one transaction (group commit). Where the disk is fast, and the
transaction only appends a little to the log, it runs on the event loop: that costs less than to
wake a thread and to be woken by it. All others run in a native thread, for which the loop does not
wait.
"""

import fcntl
import math
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, ParamSpec, TypeVar

import gevent
import msgspec
from gevent.event import Event
from gevent.threadpool import ThreadPool

from kvstore.core.errors import StorageError
from kvstore.core.node_state import NodeState
from kvstore.core.records import Record
from kvstore.node.database import DEFAULT_LIMITS, Database, DatabaseLimits
from kvstore.node.figures import Distribution, durations
from kvstore.node.storage import Spawn, Storage
from kvstore.node.waiters import IndexWaiters

P = ParamSpec("P")
T = TypeVar("T")

GATHERING_S = 0.002
"""How long a commit waits at most for requests that have arrived and can still join it."""

FAST_COMMIT_S = 0.004
"""The median time of the last commits up to which commits run on the event loop."""
LAST_COMMITS = 9


class SqliteStorage(Storage):
    """Keeps everything in ``<directory>/kvstore.db``.

    :param directory: made if it is missing; only one process at a time may use it.
    :raises StorageError: it cannot be used.
    """

    def __init__(self, directory: Path, limits: DatabaseLimits = DEFAULT_LIMITS) -> None:
        self._lock = _lock(directory)
        self._thread = ThreadPool(1)
        self._queue: list[Record] = []
        self._wake = Event()
        self._queued = 0
        self._saved = 0
        self._waiters = IndexWaiters()
        self._gathered = 1
        self._commits = durations()
        # A disk has to show that it is fast.
        self._last_commits_s = deque([math.inf] * LAST_COMMITS, LAST_COMMITS)
        try:
            self._database = self._in_thread(Database, directory, limits)
        except StorageError as error:
            self._thread.kill()
            self._lock.close()
            raise StorageError(f"{directory}: {error}") from None

    @property
    def commits(self) -> Distribution:
        return self._commits

    def load(self) -> NodeState:
        return self._in_thread(self._database.load)

    def start(
        self,
        on_saved: Callable[[Record], None],
        after_batch: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        def run() -> None:
            while True:
                self._wake.wait()
                self._wake.clear()
                self._gather()
                batch, self._queue = self._queue, []
                self._commit(batch)
                for record in batch:
                    on_saved(record)
                self._saved += len(batch)
                after_batch()
                self._waiters.release(self._saved)

        spawn(run)

    def save(self, records: list[Record]) -> None:
        self._queue += records
        self._queued += len(records)
        self._wake.set()

    def flush(self) -> None:
        queued = self._queued
        while self._saved < queued:
            self._waiters.wait(queued, None)

    def close(self) -> None:
        self.flush()
        self._in_thread(self._database.close)
        self._thread.kill()
        self._lock.close()

    def _gather(self) -> None:
        """Let requests that have arrived join the commit, until as many wait as the last time."""
        if len(self._queue) < self._gathered:
            with suppress(gevent.Timeout), gevent.Timeout(GATHERING_S):
                gevent.idle()
        self._gathered = len(self._queue)

    def _commit(self, batch: list[Record]) -> None:
        begin_s = time.monotonic()
        self._commit_where_it_fits(batch)
        self._commits.add(time.monotonic() - begin_s)

    def _commit_where_it_fits(self, batch: list[Record]) -> None:
        database = self._database
        if not database.is_light(batch):
            self._in_thread(database.commit_and_execute, batch)
        elif sorted(self._last_commits_s)[LAST_COMMITS // 2] <= FAST_COMMIT_S:
            _checked(self._commit_light, batch)
        else:
            self._in_thread(self._commit_light, batch)

    def _commit_light(self, batch: list[Record]) -> None:
        begin_s = time.monotonic()
        self._database.commit(batch)
        self._last_commits_s.append(time.monotonic() - begin_s)

    def _in_thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run a function in the native thread.

        :raises StorageError: it failed.
        """

        def run() -> T | StorageError:
            # An error is returned, because gevent would print one that is raised.
            try:
                return _checked(function, *args, **kwargs)
            except StorageError as error:
                return error

        result: T | StorageError = self._thread.apply(run)
        if isinstance(result, StorageError):
            raise result
        return result


def _checked(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return function(*args, **kwargs)
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise StorageError(str(error)) from error


def _lock(directory: Path) -> IO[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise StorageError(f"{directory}: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StorageError(f"{directory} is in use by another process") from None
    return lock
