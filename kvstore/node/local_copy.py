"""A node's own copy of the data, between the rules, the storage, and the readers."""

import logging
from collections.abc import Callable
from typing import Protocol

import gevent

from kvstore.core.entries import Entry, Item
from kvstore.core.errors import NotApplied
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.records import Record, ReplaceState
from kvstore.node.figures import Distribution
from kvstore.node.storage import Storage
from kvstore.node.turn import Turn
from kvstore.node.vital import spawn_vital
from kvstore.node.waiters import IndexWaiters

logger = logging.getLogger("kvstore")


class Rules(Protocol):
    """The rules of either role, as far as the copy needs them."""

    @property
    def map(self) -> KeyValueMap:
        """What is applied, whether it may be served now or not."""

    def check_readable(self) -> None:
        """:raises NotReady: the map must not be served now."""

    @property
    def confirmed_index(self) -> int:
        """Up to where entries may be shown as confirmed."""

    def confirmed_after(self, index: int) -> list[Entry]:
        """The next confirmed entries behind an index; see :meth:`Node.confirmed_after`."""

    def take_unsaved(self) -> list[Record]:
        """The records since the last call, for the storage."""

    def saved(self, record: Record) -> None:
        """A record is durable. Called in the order of the records."""


class LocalCopy:
    """Saves what the rules hand out, and serves what is applied, also to requests waiting for it.

    :param timeout_s: bound for reads that wait.
    """

    def __init__(self, rules: Rules, storage: Storage, timeout_s: float) -> None:
        self._rules = rules
        self._storage = storage
        self._timeout_s = timeout_s
        self._applied_waiters = IndexWaiters()
        self._confirmed_waiters = IndexWaiters()

    def start(self, after_batch: Callable[[], None]) -> None:
        """Begin to save.

        :param after_batch: called when records were saved in the background.
        """

        def saved(record: Record) -> None:
            held = self._rules.map
            self._rules.saved(record)
            if held is not self._rules.map:
                gevent.spawn(_release, held)
            if isinstance(record, ReplaceState) and record.discarded:
                logger.warning(
                    "%d entries that the new state lacks were discarded; with DATA_DIR they are "
                    "kept in its folder discarded",
                    len(record.discarded),
                )

        self._storage.start(saved, after_batch, spawn_vital)

    @property
    def map(self) -> KeyValueMap:
        """See :attr:`Node.map`."""
        self._rules.check_readable()
        return self._rules.map

    def read(self, key: str, min_version: int | None) -> Item | None:
        """See :meth:`Node.read`."""
        if min_version is not None and self.map.position.index < min_version:
            self._applied_waiters.wait(min_version, self._timeout_s)
            if self.map.position.index < min_version:
                raise NotApplied(self.map.position.index)
        return self.map.get(key)

    def confirmed_after(self, index: int, timeout_s: float) -> list[Entry]:
        """See :meth:`Node.confirmed_after`."""
        found = self._rules.confirmed_after(index)
        if not found:
            self._confirmed_waiters.wait(index + 1, timeout_s)
            found = self._rules.confirmed_after(index)
        return found

    @property
    def confirmed_index(self) -> int:
        """See :attr:`Node.confirmed_index`."""
        if self._rules.confirmed_index == 0:
            self._confirmed_waiters.wait(1, self._timeout_s)
        self._rules.confirmed_after(self._rules.confirmed_index)
        return self._rules.confirmed_index

    @property
    def commits(self) -> Distribution | None:
        """See :attr:`Storage.commits`."""
        return self._storage.commits

    def follow(self) -> None:
        """Act on the rules' new state: save, and answer requests that wait for an index."""
        while records := self._rules.take_unsaved():
            self._storage.save(records)
        self._applied_waiters.release(self._rules.map.position.index)
        self._confirmed_waiters.release(self._rules.confirmed_index)

    def flush(self) -> None:
        """Wait until everything that the rules have handed out is durable."""
        self._storage.flush()

    def close(self) -> None:
        """Finish what is queued, and close the storage."""
        self._storage.close()


def _release(kv_map: KeyValueMap) -> None:
    """Free a map bit by bit: to free a large one at once would block the loop."""
    turn = Turn()
    while kv_map.shrink(500):
        turn.give_way()
