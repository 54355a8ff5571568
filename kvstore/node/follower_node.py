"""A follower at work: messages in, answers out as soon as they are durable."""

import logging
from typing import Any

from kvstore.core.follower import Follower
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.messages import Answer, Append, Claim, Fetch, Hello, Message, SnapshotChunk
from kvstore.core.records import Record
from kvstore.node.node import Node
from kvstore.node.storage import Storage

logger = logging.getLogger("kvstore")


class FollowerNode(Node):
    """One follower, running.

    :param follower: its rules.
    :param storage: where it keeps its state.
    :param timeout_s: bound for requests that wait.
    """

    role = "follower"

    def __init__(self, follower: Follower, storage: Storage, timeout_s: float) -> None:
        self._follower = follower
        super().__init__(storage, timeout_s)

    @property
    def leader(self) -> str | None:
        """URL of the leader it follows; None before the first claim."""
        return self._follower.promise.leader

    @property
    def map(self) -> KeyValueMap:
        self._follower.check_readable()
        return self._follower.map

    @property
    def ready(self) -> bool:
        return self._follower.ready

    def start(self) -> None:
        """A follower has no greenlets of its own: its leader calls."""

    def receive(self, message: Message) -> Answer:
        """Handle a message; the answer confirms only what is durable."""
        reign = self._follower.promise.reign
        answer = self._handle(message)
        self._after_change()
        self._storage.flush()
        if self._follower.promise.reign != reign:
            logger.info("follows %s in epoch %d", message.leader, message.epoch)
        return answer

    def status(self) -> dict[str, Any]:
        follower = self._follower
        return {
            "role": self.role,
            "state": follower.state,
            "epoch": follower.promise.epoch,
            "reign": None if follower.promise.reign is None else follower.promise.reign.id,
            "node": follower.node,
            "cluster": follower.promise.cluster,
            "leader": follower.promise.leader,
            "last_index": follower.log.last.index,
            "commit_index": follower.commit_index,
            "applied_index": follower.applied_index,
            "write_quorum": None,
            "waiting_for": [],
            "problem": None,
            "discarded": follower.discarded,
            "followers": [],
        }

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

    def _take_unsaved(self) -> list[Record]:
        return self._follower.take_unsaved()

    @property
    def _held_map(self) -> KeyValueMap:
        return self._follower.map

    def _tell_saved(self, record: Record) -> None:
        self._follower.saved(record)

    def _after_change(self) -> None:
        self._persist()
        self._applied_waiters.release(self._follower.applied_index)
