"""A follower at work: messages in, answers out as soon as they are durable."""

import logging
from typing import NoReturn

from kvstore.api_types import Status
from kvstore.core.errors import NotLeader
from kvstore.core.follower import Follower
from kvstore.core.leader_log import Batch, Write
from kvstore.core.messages import Answer, Append, Claim, Fetch, Hello, Message, SnapshotChunk
from kvstore.core.preconditions import Precondition
from kvstore.node.figures import NodeFigures
from kvstore.node.local_copy import LocalCopy
from kvstore.node.node import Node
from kvstore.node.storage import Storage

logger = logging.getLogger("kvstore")


class FollowerNode(Node):
    """One follower, running.

    :param follower: its rules.
    :param storage: where it keeps its state.
    :param timeout_s: bound for requests that wait.
    """

    def __init__(self, follower: Follower, storage: Storage, timeout_s: float) -> None:
        super().__init__(LocalCopy(follower, storage, timeout_s))
        self._follower = follower

    def start(self) -> None:
        """It starts no greenlet but the storage's: the leader calls it."""
        self._copy.start(self._copy.follow)

    def stop(self) -> None:
        self._copy.close()

    @property
    def ready(self) -> bool:
        return self._follower.ready

    def status(self) -> Status:
        follower = self._follower
        return Status(
            role="follower",
            state=follower.state,
            epoch=follower.promise.epoch,
            reign=None if follower.promise.reign is None else follower.promise.reign.id,
            node=follower.node_id,
            cluster=follower.promise.cluster_id,
            leader=follower.promise.leader_url,
            last_index=follower.log.last.index,
            commit_index=follower.commit_index,
            applied_index=follower.applied_index,
            write_quorum=None,
            waiting_for=[],
            problem=None,
            discarded=follower.discarded,
            followers=[],
        )

    def figures(self) -> NodeFigures:
        follower = self._follower
        return self._figures_of(follower.log, follower.map, follower.applied_index)

    def receive(self, message: Message) -> Answer:
        reign = self._follower.promise.reign
        answer = self._handle(message)
        self._copy.follow()
        self._copy.flush()
        if self._follower.promise.reign != reign:
            logger.info("follows %s in epoch %d", message.leader_url, message.epoch)
        return answer

    def _handle(self, message: Message) -> Answer:
        match message:
            case Append():
                return self._follower.append(message)
            case Hello():
                return self._follower.hello(message)
            case Claim():
                return self._follower.claim(message)
            case SnapshotChunk():
                return self._follower.snapshot(message)
            case Fetch():
                return self._follower.fetch(message)
        raise AssertionError(f"no rule for {type(message).__name__}")

    # What only a leader does

    def check_leads(self) -> NoReturn:
        raise NotLeader(self._follower.promise.leader_url)

    def write(self, write: Write, precondition: Precondition) -> NoReturn:  # noqa: ARG002
        self.check_leads()

    def write_batch(self, batch: Batch) -> NoReturn:  # noqa: ARG002
        self.check_leads()

    def set_quorum(self, size: int) -> NoReturn:  # noqa: ARG002
        self.check_leads()

    def set_delay(self, min_ms: float, max_ms: float, follower: str | None) -> NoReturn:  # noqa: ARG002
        self.check_leads()

    def exchanges(self, after: int) -> NoReturn:  # noqa: ARG002
        self.check_leads()

    def force_start(self, keep: str | None) -> NoReturn:  # noqa: ARG002
        self.check_leads()
