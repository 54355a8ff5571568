"""Nodes around the rules: when they answer."""

from collections.abc import Callable

import gevent

from kvstore.core.follower import Follower
from kvstore.core.node_state import NodeState
from kvstore.core.records import Record
from kvstore.node.follower_node import FollowerNode
from kvstore.node.storage import MemoryStorage, Spawn
from tests.support.replication import append, claim, first_entry, put


class SlowStorage(MemoryStorage):
    """Nothing is durable before it is told so."""

    def __init__(self) -> None:
        super().__init__("f")
        self.after_batch: Callable[[], None] = lambda: None
        self.queued: list[Record] = []

    def start(
        self, on_saved: Callable[[Record], None], after_batch: Callable[[], None], spawn: Spawn
    ) -> None:
        super().start(on_saved, after_batch, spawn)
        self.after_batch = after_batch

    def save(self, records: list[Record]) -> None:
        self.queued += records

    def sync(self) -> None:
        queued, self.queued = self.queued, []
        super().save(queued)
        self.after_batch()


def test_min_version_waits_for_what_is_applied() -> None:
    storage = SlowStorage()
    node = FollowerNode(Follower(NodeState("f"), 1000, 1 << 20), storage, timeout_s=5.0)
    node.start()
    node.receive(claim())
    node.receive(append(first_entry(1)))
    storage.sync()
    reader = gevent.spawn(node.read, "k", 2)
    gevent.sleep(0)
    node.receive(append(put(2), prev=first_entry(1).position))
    gevent.sleep(0)
    assert not reader.ready(), "it is received, and not durable"
    storage.sync()
    item = reader.get(timeout=5)
    assert item is not None
    assert item.version == 2
