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


class Node(ABC):
    """One node, running."""

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

    # What it serves

    @property
    @abstractmethod
    def map(self) -> KeyValueMap:
        """What this node serves.

        :raises NotReady: it must not serve anything now.
        """

    @abstractmethod
    def read(self, key: str, min_version: int | None) -> Item | None:
        """Look a key up.

        :param min_version: wait until the node has applied this index; None = do not wait.
        :return: None when the key does not exist.
        :raises NotReady: the node must not serve reads now.
        :raises NotApplied: it did not reach the index in time.
        """

    @property
    @abstractmethod
    def confirmed_index(self) -> int:
        """Up to where this node knows the log to be confirmed; it waits until it knows of any.

        :raises NotReady: it cannot tell.
        """

    @abstractmethod
    def confirmed_after(self, index: int, timeout_s: float) -> list[Entry]:
        """The next confirmed entries behind an index, in order, at most a message full of them.

        :param timeout_s: how long to wait for the first one.
        :return: none, when there was none in time.
        :raises NotReady: the node cannot tell now what is confirmed.
        :raises EntriesCut: the log no longer reaches back to the index.
        """

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
