"""The network between leader and follower, as the replicator sees it.

A node speaks HTTP (``http_transport``). The simulator of the tests has no transport: its events
execute the same conversation.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

from gevent.event import Event

from kvstore.core.messages import Answer, Message


class Transport(ABC):
    """One connection to one follower; one message at a time."""

    @abstractmethod
    def send(self, message: Message, hold_back: Callable[[], bool]) -> Answer | None:
        """Send a message and wait for the answer, accepted or refused.

        :param hold_back: called when the message is ready to leave, so that what it waits for is
            followed by nothing but the sending; whether the message leaves afterwards.
        :return: None when it did not leave.
        :raises TransportError: there is no usable answer; the message may have been received.
        """

    @abstractmethod
    def wait(self, wake: Event, timeout_s: float) -> None:
        """Wait for an event while the connection is idle.

        :raises TransportError: the follower closed the connection meanwhile.
        """

    @abstractmethod
    def close(self) -> None:
        """Drop the connection; the next message opens a new one."""
