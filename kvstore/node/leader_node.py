"""The leader at work: client requests in, senders woken, answers when the quorum holds."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kvstore.core.changes import LeaderWatch
from kvstore.core.errors import QuorumNotReached
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.leader import Leader, LeaderState
from kvstore.core.leader_log import Write
from kvstore.core.preconditions import Precondition
from kvstore.core.records import Record
from kvstore.node.delay import DelayRange, SimulatedDelay
from kvstore.node.node import Node, spawn_vital
from kvstore.node.replicator import Replicator
from kvstore.node.storage import Storage
from kvstore.node.transport import DelayedTransport, Transport
from kvstore.node.waiters import IndexWaiters

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
    :param connect: makes the transport to a follower's address.
    :param delay_range: of the simulated delay.
    :param timeout_s: how long a write waits for its quorum.
    """

    role = "leader"

    def __init__(
        self,
        leader: Leader,
        storage: Storage,
        connect: Callable[[str], Transport],
        delay_range: DelayRange,
        timeout_s: float,
    ) -> None:
        self._leader = leader
        self._started_s = time.monotonic()
        self._delay_range = delay_range
        self._delays: defaultdict[str, SimulatedDelay] = defaultdict(
            lambda: SimulatedDelay(delay_range)
        )
        self._commit_waiters = IndexWaiters()
        self._watch = LeaderWatch(leader)

        def connect_delayed(address: str) -> Transport:
            return DelayedTransport(connect(address), self._delays[address])

        self._replicator = Replicator(leader, connect_delayed, self._after_change, spawn_vital)
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
        leader = self._leader
        index = leader.propose(write, time.monotonic(), precondition)
        reign = leader.reign
        self._after_change()
        if leader.reign is not None and leader.log.commit_index < index:
            self._commit_waiters.wait(index, self._timeout_s)
        # What another reign confirms at this index may be another entry.
        if reign is None or leader.reign != reign:
            raise QuorumNotReached(index, 0)
        replicas = leader.replicas(index)
        if leader.log.commit_index < index:
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

    def force_start(self, keep: str | None) -> dict[str, Any]:
        """Let an operator decide where the leader cannot: see :meth:`Leader.force_start`.

        :param keep: the address whose history to keep, or ``self``; None = no choice.
        :raises NothingToForce: there is nothing to decide.
        """
        missing = self._leader.force_start(keep)
        without = f" without {', '.join(missing)}" if missing else ""
        risk = (
            f"taking over{without}: a write that was confirmed and is held by none of the nodes "
            "that take part, or only in the history that is given up, is lost"
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
            "reign": None if leader.reign is None else leader.reign.id,
            "node": leader.node,
            "cluster": leader.promise.cluster,
            "leader": leader.promise.leader,
            "last_index": leader.log.last_index,
            "commit_index": leader.log.commit_index,
            "applied_index": leader.log.map.position.index,
            "write_quorum": leader.write_quorum,
            "waiting_for": leader.waiting_for,
            "problem": leader.problem,
            "discarded": leader.discarded,
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
        leader, changes = self._leader, self._watch.look()
        if changes.reign:
            self._commit_waiters.abandon()
        self._commit_waiters.release(leader.log.commit_index)
        self._applied_waiters.release(leader.log.map.position.index)
        if changes.state:
            self._log_state()
        if changes.problem and leader.problem and leader.state is not LeaderState.DEPOSED:
            logger.warning("%s", leader.problem)
        if changes.to_say:
            self._replicator.wake()

    def _log_state(self) -> None:
        leader = self._leader
        if leader.state is LeaderState.DEPOSED:
            logger.error("%s; until then it takes no writes and answers no reads", leader.problem)
        elif leader.state is LeaderState.LEADING:
            logger.info("leads in epoch %d, W=%d", leader.promise.epoch, leader.write_quorum)
        else:
            waiting_for = ", ".join(leader.waiting_for) or "nobody"
            logger.info("%s, waiting for %s", leader.state_text, waiting_for)

    def _take_unsaved(self) -> list[Record]:
        return self._leader.take_unsaved()

    @property
    def _held_map(self) -> KeyValueMap:
        return self._leader.log.map

    def _tell_saved(self, record: Record) -> None:
        self._leader.saved(record)
