"""The network between leader and follower, as the replicator sees it.

Two implementations: HTTP (``http_transport``), and one that adds the simulated delay (here). The
simulator of the tests has no transport: its events execute the same conversation.
"""

from abc import ABC, abstractmethod

from gevent.event import Event

from kvstore.core.messages import Answer, Append, Message, SnapshotChunk
from kvstore.node.delay import SimulatedDelay


class Transport(ABC):
    """One connection to one follower; one message at a time."""

    @abstractmethod
    def send(self, message: Message, wake: Event) -> Answer | None:
        """Send a message and wait for the answer, accepted or refused.

        :param wake: set when there is something new to send.
        :return: None when a heartbeat that had not left yet gave way to something new.
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


class DelayedTransport(Transport):
    """Holds back every replication request for the simulated delay.

    :param transport: sends it afterwards.
    """

    def __init__(self, transport: Transport, delay: SimulatedDelay) -> None:
        self._transport = transport
        self._delay = delay

    def send(self, message: Message, wake: Event) -> Answer | None:
        if isinstance(message, Append | SnapshotChunk):
            heartbeat = isinstance(message, Append) and not message.entries
            if not self._delay.wait(wake if heartbeat else None):
                return None
        return self._transport.send(message, wake)

    def wait(self, wake: Event, timeout_s: float) -> None:
        self._transport.wait(wake, timeout_s)

    def close(self) -> None:
        self._transport.close()
