"""One long-lived greenlet per follower: asks the leader what to send, sends it, reports back.

A slow or dead follower delays nobody else, and the delivery of an entry belongs to the senders,
not to the client's request: a follower that did not make the quorum gets every entry as well.
"""

import logging
import random
import time
from collections.abc import Callable
from functools import partial

import gevent
from gevent import Greenlet
from gevent.event import Event

from kvstore.core.errors import TransportError
from kvstore.core.leader import Leader
from kvstore.core.takeover import HEARTBEAT_S
from kvstore.node.storage import Spawn
from kvstore.node.transport import Transport

BACKOFF_MIN_S = 0.01
BACKOFF_MAX_S = 0.5

logger = logging.getLogger("kvstore")


class Sender:
    """The conversation with one follower.

    :param after_change: called whenever an answer, or the lack of one, may have changed the
        leader's state.
    """

    def __init__(
        self,
        address: str,
        leader: Leader,
        transport: Transport,
        after_change: Callable[[], None],
    ) -> None:
        self.wake = Event()
        self.address = address
        self._leader = leader
        self._transport = transport
        self._after_change = after_change
        self._failures = 0

    def run(self) -> None:
        """Converse until the leader has nothing to do with this follower any more."""
        while self.address in self._leader.followers:
            self.wake.clear()
            message = self._leader.next_message(self.address, time.monotonic())
            try:
                if message is None:
                    self._transport.wait(self.wake, self._idle_s())
                    continue
                answer = self._transport.send(message, self.wake)
            except TransportError as error:
                self._lost(str(error))
                continue
            if answer is None:
                continue
            self._report_contact()
            self._leader.receive(self.address, message, answer, time.monotonic())
            self._after_change()
            if answer.error is not None:
                self._pause()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _idle_s(self) -> float:
        progress = self._leader.followers.get(self.address)
        last_sent_s = 0.0 if progress is None else progress.last_sent_s
        # Jitter keeps the heartbeats of several followers from coming all at once.
        due_s = last_sent_s + HEARTBEAT_S * random.uniform(1.0, 1.2) - time.monotonic()
        return due_s if due_s > 0 else HEARTBEAT_S

    def _lost(self, reason: str) -> None:
        if self._failures == 0:
            logger.warning("follower %s is not reachable: %s", self.address, reason)
        self._failures += 1
        self._leader.lost(self.address, reason)
        self._after_change()
        self._pause()

    def _report_contact(self) -> None:
        if self._failures > 0:
            logger.info("follower %s is reachable", self.address)
            self._failures = 0

    def _pause(self) -> None:
        backoff_s = min(BACKOFF_MAX_S, BACKOFF_MIN_S * 2 ** min(self._failures, 10))
        gevent.sleep(backoff_s * random.uniform(0.5, 1.0))


class Replicator:
    """All senders of a leader.

    :param connect: makes the transport to an address.
    """

    def __init__(
        self,
        leader: Leader,
        connect: Callable[[str], Transport],
        after_change: Callable[[], None],
    ) -> None:
        self._leader = leader
        self._connect = connect
        self._after_change = after_change
        self._spawn: Spawn | None = None
        self._senders: dict[str, Sender] = {}
        self._greenlets: dict[str, Greenlet[[], None]] = {}

    def start(self, spawn: Spawn) -> None:
        """Start the senders.

        :param spawn: starts a greenlet.
        """
        self._spawn = spawn
        self.follow()

    def follow(self) -> None:
        """Start a sender for every follower that the leader has got; the others end themselves."""
        if self._spawn is None or self._senders.keys() == self._leader.followers.keys():
            return
        for address in self._leader.followers:
            if address not in self._senders:
                sender = Sender(address, self._leader, self._connect(address), self._after_change)
                self._senders[address] = sender
                self._greenlets[address] = self._spawn(partial(self._run, sender))
        for sender in self._senders.values():
            sender.wake.set()

    def wake(self) -> None:
        """Tell every sender that there may be something to say."""
        for sender in self._senders.values():
            sender.wake.set()

    def _run(self, sender: Sender) -> None:
        sender.run()
        sender.close()
        del self._senders[sender.address], self._greenlets[sender.address]
        self.follow()

    def drain(self, timeout_s: float) -> bool:
        """Wait until every reachable follower holds the whole log.

        :return: whether they do; False when time was up.
        """
        deadline_s = time.monotonic() + timeout_s
        while any(
            progress.counts and self._leader.lag(progress.address, 0.0)[0] > 0
            for progress in self._leader.followers.values()
        ):
            if time.monotonic() >= deadline_s:
                return False
            gevent.sleep(0.005)
        return True

    def stop(self) -> None:
        """End the senders and close their connections."""
        gevent.killall(list(self._greenlets.values()))
        for sender in self._senders.values():
            sender.close()
