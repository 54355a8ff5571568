"""A node as the routes see it, whatever its role.

A node itself refuses what only the other role does, so no route has to know the role.
"""

from abc import ABC, abstractmethod

from kvstore.api_types import BatchWritten, Exchange, Forced, Status, Written
from kvstore.core.entries import Entry, Item
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.leader_log import Batch, Write
from kvstore.core.messages import Answer, Message
from kvstore.core.preconditions import Precondition
from kvstore.core.replication_log import ReplicationLog
from kvstore.node.figures import NodeFigures
from kvstore.node.local_copy import LocalCopy


class Node(ABC):
    """One node, running.

    :param copy: its own copy of the data.
    """

    def __init__(self, copy: LocalCopy) -> None:
        self._copy = copy

    @abstractmethod
    def start(self) -> None:
        """Start to work."""

    @abstractmethod
    def stop(self) -> None:
        """Finish what is in flight, and release everything."""

    @property
    @abstractmethod
    def ready(self) -> bool:
        """Whether it may serve its role."""

    @abstractmethod
    def status(self) -> Status:
        """What ``/status`` shows."""

    @abstractmethod
    def figures(self) -> NodeFigures:
        """What ``/metrics`` shows."""

    def _figures_of(
        self, log: ReplicationLog, kv_map: KeyValueMap, durable_index: int
    ) -> NodeFigures:
        """What is counted on a node of either role."""
        return NodeFigures(
            ready=self.ready,
            status=self.status(),
            durable_index=durable_index,
            log_entries=log.last.index - log.base.index,
            log_bytes=log.size,
            map_keys=len(kv_map),
            map_bytes=kv_map.size,
            commits=self._copy.commits,
        )

    # What it serves

    @property
    def map(self) -> KeyValueMap:
        """What this node serves.

        :raises NotReady: it must not serve anything now.
        """
        return self._copy.map

    def read(self, key: str, min_version: int | None) -> Item | None:
        """Look a key up.

        :param min_version: wait until the node has applied this index; None = do not wait.
        :return: None when the key does not exist.
        :raises NotReady: the node must not serve reads now.
        :raises NotApplied: it did not reach the index in time.
        """
        return self._copy.read(key, min_version)

    @property
    def confirmed_index(self) -> int:
        """Up to where this node knows the log to be confirmed; it waits until it knows of any.

        :raises NotReady: it cannot tell.
        """
        return self._copy.confirmed_index

    def confirmed_after(self, index: int, timeout_s: float) -> list[Entry]:
        """The next confirmed entries behind an index, in order, at most a message full of them.

        :param timeout_s: how long to wait for the first one.
        :return: none, when there was none in time.
        :raises NotReady: the node cannot tell now what is confirmed.
        :raises EntriesCut: the log no longer reaches back to the index.
        """
        return self._copy.confirmed_after(index, timeout_s)

    # What only a leader does

    @abstractmethod
    def check_leads(self) -> None:
        """Called before a request that only a leader can serve is read.

        :raises NotLeader: this node is a follower; the methods below raise it, too.
        """

    @abstractmethod
    def write(self, write: Write, precondition: Precondition) -> Written:
        """Append a write and wait for its quorum.

        :raises DefiniteError: it was refused, and nothing happened.
        :raises QuorumNotReached: it is in the log, and may still be confirmed.
        """

    @abstractmethod
    def write_batch(self, batch: Batch) -> BatchWritten:
        """Append all operations of a batch, and wait for the quorum of the last one.

        :raises DefiniteError: it was refused, and nothing happened.
        :raises QuorumNotReached: all of it is in the log, and may still be confirmed.
        """

    @abstractmethod
    def set_quorum(self, size: int) -> None:
        """Change W for pending and later writes.

        :raises ValueError: outside ``0 … number of followers``.
        """

    @abstractmethod
    def set_delay(self, min_ms: float, max_ms: float, follower: str | None) -> None:
        """Change the range of the simulated delay.

        :param follower: address of the only one that it is for; None = all of them.
        :raises ValueError: unless ``0 <= min_ms <= max_ms`` and below the time that a write waits,
            or there is no such follower.
        """

    @abstractmethod
    def exchanges(self, after: int) -> list[Exchange]:
        """The exchanges with the followers that are still kept, oldest first.

        :param after: the number of the last one that is not wanted.
        """

    @abstractmethod
    def force_start(self, keep: str | None) -> Forced:
        """Let an operator decide where the leader cannot: see :meth:`Leader.force_start`.

        :param keep: the address whose history to keep, or ``self``; None = no choice.
        :raises NothingToForce: there is nothing to decide.
        """

    # What only a follower does

    @abstractmethod
    def receive(self, message: Message) -> Answer:
        """Handle a message; the answer confirms only what is durable.

        :raises NotFollower: this node is a leader.
        """
