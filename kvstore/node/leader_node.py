"""The leader at work: client requests in, senders woken, answers when the quorum holds."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import NoReturn

from kvstore.api_types import (
    BatchWritten,
    DelayFigures,
    Exchange,
    FollowerStatus,
    Forced,
    Result,
    Status,
    Written,
)
from kvstore.core.changes import LeaderWatch
from kvstore.core.errors import NotFollower, QuorumNotReached
from kvstore.core.leader import Leader
from kvstore.core.leader_log import Batch, Write
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Message
from kvstore.core.preconditions import Precondition
from kvstore.core.takeover import Phase
from kvstore.node.delay import DelayRange, SimulatedDelay
from kvstore.node.figures import NodeFigures, durations
from kvstore.node.local_copy import LocalCopy
from kvstore.node.node import Node
from kvstore.node.replicator import Replicator
from kvstore.node.storage import Storage
from kvstore.node.transport import Transport
from kvstore.node.vital import spawn_vital
from kvstore.node.waiters import IndexWaiters

logger = logging.getLogger("kvstore")

BEGINNING = {
    Phase.LOOKING.value: "takes over: asks what is on {nodes}",
    Phase.CLAIMING.value: "takes over: claims {nodes}",
    Phase.CHECKING.value: "takes over: asks once more what is on {nodes}",
    Phase.UNDECIDED.value: "takes over: an operator has to decide whose history to keep",
    Phase.FETCHING.value: "takes over: copies the state of {nodes}",
    LeaderState.STARTING.value: "begins a reign",
    LeaderState.CATCHING_UP.value: "sends the first entry of the reign to {nodes}",
}
"""What a leader does before it leads, for the log."""


class LeaderNode(Node):
    """The leader, running.

    :param leader: its rules.
    :param storage: where it keeps its state.
    :param connect: makes the transport to a follower's address.
    :param delay_range: of the simulated delay.
    :param timeout_s: how long a write waits for its quorum.
    """

    def __init__(
        self,
        leader: Leader,
        storage: Storage,
        connect: Callable[[str], Transport],
        delay_range: DelayRange,
        timeout_s: float,
    ) -> None:
        super().__init__(LocalCopy(leader, storage, timeout_s))
        self._leader = leader
        self._timeout_s = timeout_s
        self._started_s = time.monotonic()
        self._delay_range = delay_range
        self._delays: defaultdict[str, SimulatedDelay] = defaultdict(
            lambda: SimulatedDelay(self._delay_range)
        )
        self._commit_waiters = IndexWaiters()
        self._quorum_waits = durations()
        self._watch = LeaderWatch(leader)
        self._replicator = Replicator(
            leader, connect, self._delays.__getitem__, self._after_change, spawn_vital
        )

    def start(self) -> None:
        self._copy.start(self._after_change)
        self._after_change()

    def stop(self) -> None:
        if not self._replicator.drain(self._timeout_s):
            logger.warning("not every reachable follower holds the whole log")
        self._replicator.stop()
        self._copy.close()

    @property
    def ready(self) -> bool:
        return self._leader.ready

    def check_leads(self) -> None:
        pass

    def receive(self, message: Message) -> NoReturn:  # noqa: ARG002
        raise NotFollower

    def write(self, write: Write, precondition: Precondition) -> Written:
        index = self._leader.propose(write, time.monotonic(), precondition)
        replicas = self._wait_for_quorum(index)
        return Written(key=write.key, version=index, replicas_confirmed=replicas)

    def write_batch(self, batch: Batch) -> BatchWritten:
        last = self._leader.propose_batch(batch, time.monotonic())
        replicas = self._wait_for_quorum(last)
        keys = (write.key for write, _ in batch.operations)
        results = [*map(Result, keys, batch.indexes(last))]
        return BatchWritten(results=results, replicas_confirmed=replicas)

    def _wait_for_quorum(self, index: int) -> int:
        """Have an entry that was just appended replicated.

        :return: how many followers are known to hold it.
        :raises QuorumNotReached: too few of them do, in time.
        """
        leader = self._leader
        reign = leader.reign
        begin_s = time.monotonic()
        self._after_change()
        if leader.reign is not None and leader.log.commit_index < index:
            self._commit_waiters.wait(index, self._timeout_s)
        self._quorum_waits.add(time.monotonic() - begin_s)
        # What another reign confirms at this index may be another entry.
        if reign is None or leader.reign != reign:
            raise QuorumNotReached(index, 0)
        replicas = leader.replicas(index)
        if leader.log.commit_index < index:
            raise QuorumNotReached(index, replicas)
        return replicas

    def set_quorum(self, size: int) -> None:
        self._leader.set_quorum(size)
        logger.info("the write quorum is now %d", size)
        self._after_change()

    def set_delay(self, min_ms: float, max_ms: float, follower: str | None) -> None:
        bound_ms = self._timeout_s * 1000
        if not 0 <= min_ms <= max_ms < bound_ms:
            raise ValueError(f"0 <= min_ms <= max_ms < {bound_ms:g} (REPL_TIMEOUT) must hold")
        delay_range = DelayRange(min_ms, max_ms)
        if follower is not None:
            if follower not in self._leader.followers:
                known = ", ".join(self._leader.followers) or "none"
                raise ValueError(f"{follower!r} is no follower; the followers are: {known}")
            self._delays[follower].range = delay_range
            return
        self._delay_range = delay_range
        for delay in self._delays.values():
            delay.range = delay_range

    def exchanges(self, after: int) -> list[Exchange]:
        return self._replicator.exchanges.after(after)

    def force_start(self, keep: str | None) -> Forced:
        missing = self._leader.force_start(keep)
        without = f" without {', '.join(missing)}" if missing else ""
        risk = (
            f"taking over{without}: a confirmed write is lost if none of the nodes that take part "
            "holds it, or only the history that is given up does"
        )
        logger.warning("force_start: %s", risk)
        self._after_change()
        return Forced(without=missing, risk=risk)

    def status(self) -> Status:
        leader = self._leader
        now_s = time.monotonic()
        return Status(
            role="leader",
            state=leader.state_text,
            epoch=leader.promise.epoch,
            reign=None if leader.reign is None else leader.reign.id,
            node=leader.node_id,
            cluster=leader.promise.cluster_id,
            leader=leader.promise.leader_url,
            last_index=leader.log.last_index,
            commit_index=leader.log.commit_index,
            applied_index=leader.map.position.index,
            write_quorum=leader.write_quorum,
            waiting_for=leader.waiting_for,
            problem=leader.problem,
            discarded=leader.discarded,
            followers=[self._follower_status(each, now_s) for each in leader.followers],
        )

    def figures(self) -> NodeFigures:
        log = self._leader.log
        return replace(
            self._figures_of(log.replication_log, self._leader.map, log.durable_index),
            quorum_waits=self._quorum_waits,
            exchanges=self._replicator.exchanges.figures,
        )

    def _follower_status(self, address: str, now_s: float) -> FollowerStatus:
        progress = self._leader.followers[address]
        lag_entries, lag_s = self._leader.lag(address, now_s, self._started_s)
        contact_s = progress.last_contact_s
        delay = self._delays[address]
        delays = delay.statistics
        return FollowerStatus(
            address=address,
            node=progress.node_id,
            state=progress.stage.value if progress.reachable else "unreachable",
            problem=progress.problem,
            match_index=progress.match_index,
            lag_entries=lag_entries,
            lag_s=round(lag_s, 6),
            last_contact_s=None if contact_s is None else round(now_s - contact_s, 6),
            entries_sent=progress.entries_sent,
            snapshots_sent=progress.snapshots_sent,
            delay=DelayFigures(
                min_ms=delay.range.min_ms,
                max_ms=delay.range.max_ms,
                count=delays.count,
                mean_drawn_ms=round(delays.mean_drawn_ms, 6),
                mean_happened_ms=round(delays.mean_happened_ms, 6),
                correlation=delays.correlation,
            ),
        )

    def _after_change(self) -> None:
        """Act on the leader's new state: save, answer waiting requests, wake the senders."""
        self._copy.follow()
        leader, changes = self._leader, self._watch.look()
        if changes.reign:
            self._commit_waiters.abandon()
        self._commit_waiters.release(leader.log.commit_index)
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
            nodes = ", ".join(leader.waiting_for) or "nobody"
            logger.info("%s", BEGINNING[leader.state_text].format(nodes=nodes))
