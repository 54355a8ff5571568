"""What both roles have in common: a storage behind the rules, and reads that may wait."""

import logging
import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import gevent
from gevent import Greenlet

from kvstore.core.entries import Item
from kvstore.core.errors import NotApplied, StorageError
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.records import Record, ReplaceState
from kvstore.node.storage import Storage
from kvstore.node.turn import Turn
from kvstore.node.waiters import IndexWaiters

logger = logging.getLogger("kvstore")

NODE_FAILED = 3
"""Exit code with which gunicorn's arbiter stops too, instead of starting another worker."""


class Node(ABC):
    """One node, running.

    :param storage: where it keeps its state.
    :param timeout_s: bound for requests that wait.
    """

    role: str

    def __init__(self, storage: Storage, timeout_s: float) -> None:
        self._storage = storage
        self._timeout_s = timeout_s
        self._applied_waiters = IndexWaiters()
        storage.start(self._saved, self._after_change, spawn_vital)

    @property
    @abstractmethod
    def map(self) -> KeyValueMap:
        """What this node serves.

        :raises NotReady: it must not serve anything now.
        """

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether it may serve its role."""

    @abstractmethod
    def status(self) -> dict[str, Any]:
        """What ``/status`` shows."""

    @abstractmethod
    def start(self) -> None:
        """Start the node's greenlets."""

    def stop(self) -> None:
        """Finish what is in hand, and let go of everything."""
        self._storage.close()

    def read(self, key: str, min_version: int | None) -> Item | None:
        """Look a key up.

        :param min_version: wait until the node has applied this index; None = do not wait.
        :return: None when the key does not exist.
        :raises NotReady: the node must not serve reads now.
        :raises NotApplied: it did not reach the index in time.
        """
        if min_version is not None and self.map.position.index < min_version:
            self._applied_waiters.wait(min_version, self._timeout_s)
            if self.map.position.index < min_version:
                raise NotApplied(self.map.position.index)
        return self.map.get(key)

    @abstractmethod
    def _take_unsaved(self) -> list[Record]:
        """The core's records since the last call."""

    @property
    @abstractmethod
    def _held_map(self) -> KeyValueMap:
        """The map, whether it may be served or not."""

    @abstractmethod
    def _tell_saved(self, record: Record) -> None:
        """Tell the core that a record is durable."""

    def _saved(self, record: Record) -> None:
        held = self._held_map
        self._tell_saved(record)
        if held is not self._held_map:
            gevent.spawn(_release, held)
        if isinstance(record, ReplaceState) and record.discarded:
            logger.warning(
                "%d entries that the new state does not hold were discarded; with DATA_DIR they "
                "are kept in its folder discarded",
                len(record.discarded),
            )

    @abstractmethod
    def _after_change(self) -> None:
        """Do what the core's new state asks for: save, and answer who waits."""

    def _persist(self) -> None:
        while records := self._take_unsaved():
            self._storage.save(records)


def _release(kv_map: KeyValueMap) -> None:
    """Let go of a map bit by bit: to free a large one at once would hold the loop."""
    turn = Turn()
    while kv_map.shrink(500):
        turn.give_way()


def end_node(reason: object) -> None:
    """End this node, arbiter included: its state is no longer to be trusted.

    A worker that ended alone would be replaced at once, and nobody would notice.
    """
    logger.critical("this node ends: %s", reason)
    os._exit(NODE_FAILED)


def spawn_vital(function: Callable[[], None]) -> "Greenlet[[], None]":
    """Start a greenlet without which the node is of no use: its failure ends the node."""

    def run() -> None:
        try:
            function()
        except StorageError as error:
            end_node(f"its data directory failed: {error}")

    greenlet = gevent.spawn(run)
    greenlet.link_exception(lambda failed: end_node(failed.exception))
    return greenlet
