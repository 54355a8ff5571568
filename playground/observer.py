"""What the page shows, read from the nodes: five frames a second at most, for all pages."""

import time
from collections import deque
from contextlib import suppress
from typing import Any

import gevent
import msgspec
from gevent.queue import Full, Queue

from kvstore.api_types import Change, Exchange, Status
from kvstore.client import ClientError, NodeUnavailableError
from playground.clients import BackgroundClients
from playground.stage import Actor, Stage

FRAME_S = 0.2
TAPE = 14
"""Entries of each log that are shown."""

_LOOK_TIMEOUT_S = 0.5
_KEPT = 400
_JOURNEY_PATIENCE_S = 1.0


class Observer:
    """Looks at all nodes, and tells everyone who watches.

    :param stage: the nodes.
    :param clients: whose figures it shows as well.
    """

    def __init__(self, stage: Stage, clients: BackgroundClients) -> None:
        self._stage = stage
        self._clients = clients
        self._statuses: dict[str, Status | None] = {}
        self._lookers: dict[str, gevent.Greenlet[..., None]] = {}
        self._watchers: set[Queue[bytes | None]] = set()
        self._changes: dict[int, Change] = {}
        self._exchanges: deque[Exchange] = deque(maxlen=_KEPT)
        self._newest_exchange = 0
        self._reign: str | None = None
        self._marks: deque[tuple[float, str]] = deque(maxlen=50)
        self.news: dict[str, Any] = {}
        """What the running experiment says."""

    def start(self) -> None:
        """Begin to look."""
        gevent.spawn(self._frames)
        gevent.spawn(self._follow_changes)
        gevent.spawn(self._follow_exchanges)

    def mark(self, text: str) -> None:
        """Something was changed: it stands in the curves from now on."""
        self._marks.append((time.monotonic(), text))

    def watch(self) -> "Queue[bytes | None]":
        """Begin to watch; see :meth:`leave`."""
        queue: Queue[bytes | None] = Queue(maxsize=5)
        self._watchers.add(queue)
        return queue

    def leave(self, queue: "Queue[bytes | None]") -> None:
        """End watching."""
        self._watchers.discard(queue)

    def end_streams(self) -> None:
        """Let everyone who watches leave."""
        for queue in self._watchers:
            with suppress(Full):
                queue.put_nowait(None)

    def status(self, actor: Actor) -> Status | None:
        """What a node said last; None = it does not answer."""
        return self._statuses.get(actor.name)

    def _frames(self) -> None:
        while True:
            for actor in list(self._stage.actors):
                looker = self._lookers.get(actor.name)
                if looker is None or looker.dead:
                    self._lookers[actor.name] = gevent.spawn(self._look, actor)
            gevent.sleep(FRAME_S)
            if self._watchers:
                frame = msgspec.json.encode(self.frame())
                for queue in list(self._watchers):
                    with suppress(Full):  # a slow page misses a frame; the next has everything
                        queue.put_nowait(frame)

    def _look(self, actor: Actor) -> None:
        try:
            self._statuses[actor.name] = actor.node.status(timeout_s=_LOOK_TIMEOUT_S)
        except NodeUnavailableError:
            self._statuses[actor.name] = None

    def _follow_changes(self) -> None:
        while True:
            try:
                self._changes.clear()  # it may be another cluster now
                with self._stage.client(timeout_s=5) as client:
                    for change in client.watch():
                        self._changes[change.index] = change
                        self._changes.pop(change.index - _KEPT, None)
            except ClientError:
                gevent.sleep(0.5)

    def _follow_exchanges(self) -> None:
        while True:
            gevent.sleep(FRAME_S)
            leader = self.status(self._stage.leader)
            if leader is None:
                continue
            if leader.reign != self._reign:
                # Another process, or another cluster: its exchanges are counted anew.
                self._reign, self._newest_exchange = leader.reign, 0
                self._exchanges.clear()
            try:
                found = self._stage.leader.node.exchanges(after=self._newest_exchange)
            except NodeUnavailableError:
                continue
            if found:
                self._newest_exchange = found[-1].number
                self._exchanges.extend(found)

    def frame(self) -> dict[str, Any]:
        """Everything, as it is known now."""
        now_s = time.monotonic()
        leader = self.status(self._stage.leader)
        known = [status for actor in self._stage.actors if (status := self.status(actor))]
        last = max((each.last_index for each in known), default=0)
        first = max(last - TAPE + 1, 1)
        return {
            "owns_processes": self._stage.owns_processes,
            "write_quorum": leader.write_quorum if leader else None,
            "tape": {"first": first, "last": last, "keys": self._keys(first, last)},
            "nodes": [self._node(actor, leader) for actor in self._stage.actors],
            "clients": {"number": self._clients.number, "keys": self._clients.keys},
            "history": self._clients.history(),
            "marks": [
                {"ago_s": round(now_s - at_s, 1), "text": text}
                for at_s, text in self._marks
                if now_s - at_s < 60
            ],
            "news": self.news,
        }

    def _keys(self, first: int, last: int) -> dict[str, str]:
        found = {index: self._changes.get(index) for index in range(first, last + 1)}
        return {str(index): change.key for index, change in found.items() if change is not None}

    def _node(self, actor: Actor, leader: Status | None) -> dict[str, Any]:
        status = self.status(actor)
        followers = leader.followers if leader else []
        seen = next((each for each in followers if each.address == actor.address), None)
        share = self._clients.staleness[actor.name].share(time.monotonic())
        return {
            "name": actor.name,
            "url": actor.node.url,
            "role": actor.role,
            "address": actor.address,
            "faults": sorted(self._stage.faults(actor)),
            "status": None if status is None else msgspec.to_builtins(status) | {"followers": None},
            "seen": None if seen is None else msgspec.to_builtins(seen),
            "stale_share": None if share is None else round(share, 4),
        }

    def _exchanges_of(self, index: int) -> list[Exchange]:
        """Those that carried an entry, once every follower that keeps up has acknowledged it, or
        after a time.
        """
        deadline_s = time.monotonic() + _JOURNEY_PATIENCE_S
        while True:
            found = [
                each for each in self._exchanges if each.first_index <= index <= each.last_index
            ]
            leader = self.status(self._stage.leader)
            expected = leader.followers if leader else []
            waiting = {each.address for each in expected if each.state == "streaming"}
            if waiting <= {each.follower for each in found} or time.monotonic() > deadline_s:
                return found
            gevent.sleep(FRAME_S / 2)

    def journey(self, index: int) -> list[dict[str, float | str]]:
        """How a write travelled: for each follower when its request was formed, sent, and
        acknowledged, in milliseconds after the first was formed.
        """
        found = self._exchanges_of(index)
        begin_s = min((each.formed_s for each in found), default=0.0)

        def ms(at_s: float) -> float:
            return round(1000 * (at_s - begin_s), 3)

        return [
            {
                "address": each.follower,
                "formed_ms": ms(each.formed_s),
                "drawn_ms": round(each.drawn_ms, 3),
                "sent_ms": ms(each.sent_s),
                "acknowledged_ms": ms(each.acknowledged_s),
            }
            for each in found
        ]
