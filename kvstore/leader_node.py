"""The leader at work: client requests in, senders woken, answers when the quorum holds."""

import logging
import time
from dataclasses import dataclass
from typing import Any

from kvstore.delay import DelayRange, SimulatedDelay
from kvstore.errors import QuorumNotReached
from kvstore.key_value_map import KeyValueMap
from kvstore.leader import Leader, LeaderState
from kvstore.leader_log import Write
from kvstore.node import Node, spawn_vital
from kvstore.preconditions import Precondition
from kvstore.records import Record, SavePromise
from kvstore.replicator import Replicator
from kvstore.storage import Storage
from kvstore.transport import DelayedTransport, Transport
from kvstore.waiters import IndexWaiters

logger = logging.getLogger("kvstore")


@dataclass(frozen=True, slots=True)
class Confirmed:
    """A write that its quorum holds.

    :param version: index of its entry.
    :param replicas_confirmed: followers known to hold it.
    """

    version: int
    replicas_confirmed: int


class LeaderNode(Node):
    """The leader, running.

    :param leader: its rules.
    :param storage: where it keeps its state.
    :param transports: to each follower, by address.
    :param delay_range: of the simulated delay.
    :param timeout_s: how long a write waits for its quorum.
    """

    role = "leader"

    def __init__(
        self,
        leader: Leader,
        storage: Storage,
        transports: dict[str, Transport],
        delay_range: DelayRange,
        timeout_s: float,
    ) -> None:
        self._leader = leader
        self._started_s = time.monotonic()
        self._delay_range = delay_range
        self._delays = {address: SimulatedDelay(delay_range) for address in transports}
        self._commit_waiters = IndexWaiters()
        self._announced = ("", 0)
        delayed: dict[str, Transport] = {
            address: DelayedTransport(transport, self._delays[address])
            for address, transport in transports.items()
        }
        self._replicator = Replicator(leader, delayed, self._after_change)
        super().__init__(storage, timeout_s)

    @property
    def map(self) -> KeyValueMap:
        self._leader.check_readable()
        return self._leader.log.map

    @property
    def ready(self) -> bool:
        return self._leader.ready

    def start(self) -> None:
        self._after_change()
        self._replicator.start(spawn_vital)

    def stop(self) -> None:
        if not self._replicator.drain(self._timeout_s):
            logger.warning("not every reachable follower holds the whole log")
        self._replicator.stop()
        super().stop()

    def write(self, write: Write, precondition: Precondition) -> Confirmed:
        """Append a write and wait for its quorum.

        :raises DefiniteError: it was refused, and nothing happened.
        :raises QuorumNotReached: it is in the log, and may still be confirmed.
        """
        index = self._leader.propose(write, time.monotonic(), precondition)
        self._after_change()
        pending = self._leader.quorum.commit_index < index
        if pending and self._leader.state is not LeaderState.DEPOSED:
            self._commit_waiters.wait(index, self._timeout_s)
        replicas = self._leader.replicas(index)
        if self._leader.quorum.commit_index < index:
            raise QuorumNotReached(index, replicas)
        return Confirmed(index, replicas)

    def set_quorum(self, size: int) -> None:
        """Change W for pending and later writes.

        :raises ValueError: outside ``0 … number of followers``.
        """
        self._leader.set_quorum(size)
        logger.info("the write quorum is %d now", size)
        self._after_change()

    def set_delay(self, min_ms: float, max_ms: float) -> None:
        """Change the range of the simulated delay."""
        self._delay_range.min_ms = min_ms
        self._delay_range.max_ms = max_ms

    def force_start(self) -> dict[str, Any]:
        """Take over without the followers that do not answer.

        :raises NothingToForce: no takeover is waiting for anyone.
        """
        missing = self._leader.force_start()
        risk = (
            f"taking over without {', '.join(missing)}: a write that was confirmed "
            "and is held by none of the others is lost"
        )
        logger.warning("force_start: %s", risk)
        self._after_change()
        return {"status": "ok", "without": missing, "risk": risk}

    def status(self) -> dict[str, Any]:
        leader = self._leader
        now_s = time.monotonic()
        return {
            "role": self.role,
            "state": leader.state_text,
            "epoch": leader.promise.epoch,
            "node": leader.node,
            "cluster": leader.promise.cluster,
            "leader": leader.promise.leader,
            "last_index": leader.log.last_index,
            "commit_index": leader.quorum.commit_index,
            "applied_index": leader.log.map.position.index,
            "write_quorum": leader.quorum.size,
            "waiting_for": leader.waiting_for,
            "problem": leader.problem,
            "followers": [self._follower_status(each, now_s) for each in leader.followers],
        }

    def _follower_status(self, address: str, now_s: float) -> dict[str, Any]:
        progress = self._leader.followers[address]
        lag_entries, lag_s = self._leader.lag(address, now_s, self._started_s)
        contact_s = progress.last_contact_s
        delay = self._delays[address].statistics
        return {
            "address": address,
            "node": progress.node,
            "state": progress.stage.value if progress.reachable else "unreachable",
            "problem": progress.problem,
            "match_index": progress.match_index,
            "lag_entries": lag_entries,
            "lag_s": round(lag_s, 6),
            "last_contact_s": None if contact_s is None else round(now_s - contact_s, 6),
            "entries_sent": progress.entries_sent,
            "snapshots_sent": progress.snapshots_sent,
            "delay": {
                "count": delay.count,
                "mean_drawn_ms": round(delay.mean_drawn_ms, 6),
                "mean_happened_ms": round(delay.mean_happened_ms, 6),
                "correlation": delay.correlation,
            },
        }

    def _after_change(self) -> None:
        """Do what the leader's new state asks for: save, answer who waits, wake the senders."""
        self._persist()
        leader = self._leader
        self._commit_waiters.release(leader.quorum.commit_index)
        self._applied_waiters.release(leader.log.map.position.index)
        announced = (leader.state_text, leader.log.durable_index)
        if announced != self._announced:
            if announced[0] != self._announced[0]:
                self._log_state()
            self._announced = announced
            self._replicator.wake()

    def _log_state(self) -> None:
        leader = self._leader
        if leader.state is LeaderState.DEPOSED:
            self._commit_waiters.abandon()
            logger.error("%s: it takes no writes and answers no reads any more", leader.problem)
        elif leader.state is LeaderState.LEADING:
            logger.info("leads in epoch %d, W=%d", leader.promise.epoch, leader.quorum.size)
        else:
            waiting_for = ", ".join(leader.waiting_for) or "nobody"
            logger.info("%s, waiting for %s", leader.state_text, waiting_for)

    def _take_unsaved(self) -> list[Record]:
        return self._leader.take_unsaved()

    def _saved(self, record: Record) -> None:
        self._leader.saved(record)
        if isinstance(record, SavePromise):
            self._replicator.wake()
