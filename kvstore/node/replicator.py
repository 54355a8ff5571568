"""One long-lived greenlet per follower: executes the conversation with it.

A slow or dead follower delays no other. The senders deliver the entries, not the client's request,
so a follower that the quorum did not need gets every entry as well.
"""

import logging
import random
import time
from collections.abc import Callable
from functools import partial

import gevent
from gevent import Greenlet
from gevent.event import Event

from kvstore.core.conversation import BackOff, Conversation, End, Send, Step, Wait
from kvstore.core.errors import TransportError
from kvstore.core.leader import Leader
from kvstore.core.messages import Answer, Append, Message, SnapshotChunk
from kvstore.node.delay import SimulatedDelay
from kvstore.node.exchange_log import ExchangeLog
from kvstore.node.storage import Spawn
from kvstore.node.transport import Transport

logger = logging.getLogger("kvstore")


class Sender:
    """Executes the conversation with one follower.

    :param delay: simulated before every replication request.
    :param exchanges: where acknowledged requests are recorded, and lost ones counted.
    :param after_change: called whenever an answer, or the lack of one, may have changed the
        leader's state.
    """

    def __init__(
        self,
        conversation: Conversation,
        transport: Transport,
        delay: SimulatedDelay,
        exchanges: ExchangeLog,
        after_change: Callable[[], None],
    ) -> None:
        self.wake = Event()
        self._conversation = conversation
        self._transport = transport
        self._delay = delay
        self._exchanges = exchanges
        self._after_change = after_change

    def run(self) -> None:
        """Converse until the leader no longer has this follower."""
        while not isinstance(step := self._next_step(), End):
            try:
                self._take(step)
            except TransportError as error:
                self._lost(str(error))

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def _next_step(self) -> Step:
        self.wake.clear()
        return self._conversation.next_step(time.monotonic())

    def _take(self, step: Step) -> None:
        """:raises TransportError: a message got no usable answer, or the connection was closed."""
        match step:
            case Send(message):
                answer = self._transport.send(message, partial(self._hold_back, message))
                if answer is not None:
                    self._answered(message, answer)
            case Wait(seconds):
                self._transport.wait(self.wake, seconds)
            case BackOff(seconds):
                gevent.sleep(seconds)

    def _hold_back(self, message: Message) -> bool:
        """Simulate the delay. A heartbeat gives way to something new meanwhile.

        :return: whether the message is to leave.
        """
        if not isinstance(message, Append | SnapshotChunk):
            return True
        is_heartbeat = isinstance(message, Append) and not message.entries
        return self._delay.wait(self.wake if is_heartbeat else None)

    def _answered(self, message: Message, answer: Answer) -> None:
        now_s = time.monotonic()
        if isinstance(message, Append) and message.entries and answer.error is None:
            held_back = self._delay.latest
            assert held_back is not None, "it was held back before it was sent"
            self._exchanges.add(self._conversation.address, message, held_back, now_s)
        if self._conversation.answered(message, answer, now_s):
            logger.info("follower %s is reachable", self._conversation.address)
        self._after_change()

    def _lost(self, reason: str) -> None:
        self._exchanges.lost(self._conversation.address)
        if self._conversation.lost(reason):
            logger.warning("follower %s is not reachable: %s", self._conversation.address, reason)
        self._after_change()


class Replicator:
    """All senders of a leader.

    :param connect: makes the transport to an address.
    :param delay_to: the simulated delay before requests to an address.
    :param spawn: starts a greenlet.
    """

    def __init__(
        self,
        leader: Leader,
        connect: Callable[[str], Transport],
        delay_to: Callable[[str], SimulatedDelay],
        after_change: Callable[[], None],
        spawn: Spawn,
    ) -> None:
        self._leader = leader
        self._connect = connect
        self._delay_to = delay_to
        self.exchanges = ExchangeLog()
        self._after_change = after_change
        self._spawn = spawn
        self._senders: dict[str, Sender] = {}
        self._greenlets: dict[str, Greenlet[[], None]] = {}

    def wake(self) -> None:
        """Wake the senders: there may be something to send. Start those of new followers."""
        for sender in self._senders.values():
            sender.wake.set()
        for address in self._leader.followers:
            if address not in self._senders:
                self._start(address)

    def _start(self, address: str) -> None:
        conversation = Conversation(address, self._leader, random.uniform)
        transport, delay = self._connect(address), self._delay_to(address)
        sender = Sender(conversation, transport, delay, self.exchanges, self._after_change)
        self._senders[address] = sender
        self._greenlets[address] = self._spawn(partial(self._run, address, sender))

    def _run(self, address: str, sender: Sender) -> None:
        sender.run()
        del self._senders[address], self._greenlets[address]
        sender.close()

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
