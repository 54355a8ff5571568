"""Where a node keeps its state: in a SQLite file, or nowhere (memory only).

``save`` takes records in order and returns at once; each is handed to ``on_saved`` when it is
durable; ``flush`` waits until all that was queued before is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from gevent import Greenlet

from kvstore.core.node_state import NodeState
from kvstore.core.records import Record
from kvstore.node.figures import Distribution

Spawn = Callable[[Callable[[], None]], "Greenlet[[], None]"]
"""Starts a greenlet without which the node cannot work."""


class Storage(ABC):
    """The interface between the rules and the disk."""

    @property
    def commits(self) -> Distribution | None:
        """How long each transaction on the disk took, in seconds; None = there is no disk."""
        return None

    @abstractmethod
    def load(self) -> NodeState:
        """The saved state; a new one on the first start.

        :raises StorageError: the data cannot be used.
        """

    @abstractmethod
    def start(
        self,
        on_saved: Callable[[Record], None],
        after_batch: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        """Begin to save.

        :param on_saved: called on the event loop, with each record, in order.
        :param after_batch: called on the event loop when a batch was saved in the background.
        :param spawn: starts the greenlet that saves; its failure must end the node.
        """

    @abstractmethod
    def save(self, records: list[Record]) -> None:
        """Queue records."""

    @abstractmethod
    def flush(self) -> None:
        """Wait until everything queued so far is durable and was handed to ``on_saved``."""

    @abstractmethod
    def close(self) -> None:
        """Finish what is queued, and close the files."""


class MemoryStorage(Storage):
    """Keeps nothing: every record counts as durable at once.

    :param node: id of the node, new with every process.
    """

    def __init__(self, node: str) -> None:
        self._node = node
        self._on_saved: Callable[[Record], None] | None = None

    def load(self) -> NodeState:
        return NodeState(self._node)

    def start(
        self,
        on_saved: Callable[[Record], None],
        after_batch: Callable[[], None],  # noqa: ARG002 (nothing is saved in the background)
        spawn: Spawn,  # noqa: ARG002
    ) -> None:
        self._on_saved = on_saved

    def save(self, records: list[Record]) -> None:
        assert self._on_saved is not None, "start comes first"
        for record in records:
            self._on_saved(record)

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass
