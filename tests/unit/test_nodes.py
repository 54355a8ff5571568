"""Nodes around the rules: when they answer."""

from collections.abc import Callable

import gevent
import pytest
from gevent.event import Event

from kvstore.core.errors import QuorumNotReached
from kvstore.core.follower import Follower
from kvstore.core.leader_log import Batch
from kvstore.core.leadership import LeaderState
from kvstore.core.messages import Answer, Message
from kvstore.core.node_state import NodeState
from kvstore.core.preconditions import ALWAYS
from kvstore.core.records import Record
from kvstore.core.takeover import Phase
from kvstore.node.delay import DelayRange
from kvstore.node.follower_node import FollowerNode
from kvstore.node.leader_node import BEGINNING, LeaderNode
from kvstore.node.storage import MemoryStorage, Spawn
from kvstore.node.transport import Transport
from tests.support.replication import (
    append,
    claim,
    first_entry,
    handle,
    make_leader,
    put,
    write,
)


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


class Link(Transport):
    """Carries messages to a follower in this process while it is up."""

    def __init__(self) -> None:
        self._follower = Follower(NodeState("f"), 1000, 1 << 20)
        self.up = Event()
        self.up.set()

    def send(self, message: Message, hold_back: Callable[[], bool]) -> Answer:
        assert hold_back(), "nothing to give way to"
        self.up.wait()
        return handle(self._follower, message)

    def wait(self, wake: Event, timeout_s: float) -> None:
        wake.wait(timeout_s)

    def close(self) -> None:
        pass


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


def wait_until(reached: Callable[[], bool]) -> None:
    with gevent.Timeout(20):
        while not reached():
            gevent.sleep(0.001)


def started_leader(link: Link) -> LeaderNode:
    """A leader of the follower at f0 that leads."""
    rules = make_leader(followers=1, durable=False)
    node = LeaderNode(rules, MemoryStorage("l"), lambda _: link, DelayRange(0.0, 0.0), 0.05)
    node.start()
    wait_until(lambda: node.ready)
    return node


def test_the_log_says_how_a_leader_begins(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "kvstore")
    started_leader(Link()).stop()
    assert caplog.messages == [
        "takes over: asks what is on f0",
        "takes over: claims f0",
        "takes over: asks once more what is on f0",
        "sends the first entry of the reign to f0",
        "leads in epoch 1, W=1",
    ]


def test_there_are_words_for_all_that_a_leader_does_before_it_leads() -> None:
    states = {LeaderState.STARTING, LeaderState.CATCHING_UP}
    assert BEGINNING.keys() == {each.value for each in (*Phase, *states)}


def test_a_timed_out_write_stays_and_a_retry_waits_for_it() -> None:
    link = Link()
    node = started_leader(link)
    link.up.clear()
    with pytest.raises(QuorumNotReached) as first:
        node.write(write(request="once"), ALWAYS)
    assert node.status().last_index == first.value.version
    with pytest.raises(QuorumNotReached) as again:
        node.write(write(request="once"), ALWAYS)
    assert again.value.version == first.value.version
    link.up.set()
    wait_until(lambda: node.status().commit_index == first.value.version)
    node.stop()


def test_a_batch_is_answered_when_the_quorum_holds_the_last_of_it() -> None:
    link = Link()
    node = started_leader(link)
    batch = Batch([(write(key), ALWAYS) for key in "abc"], "once", "f")
    link.up.clear()
    with pytest.raises(QuorumNotReached) as late:
        node.write_batch(batch)
    link.up.set()
    wait_until(lambda: node.status().commit_index == late.value.version)
    written = node.write_batch(batch)
    first = node.status().last_index - 2
    results = [(result.key, result.version) for result in written.results]
    assert results == [("a", first), ("b", first + 1), ("c", first + 2)]
    assert late.value.version == first + 2
    assert written.replicas_confirmed == 1
    node.stop()
