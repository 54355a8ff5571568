"""Which node to ask next: the way to the leader through any node."""

import random
import time
from collections.abc import Iterator, Mapping, Sequence

from kvstore.api_types import Status
from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient

ASK_TIMEOUT_S = 1.0
"""How long a node may take to say who leads."""

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class Router:
    """The nodes of a cluster, and who leads them as far as it is known.

    :param urls: of some nodes; others become known when one of them names the leader.
    :param headers: sent with every request.
    """

    def __init__(self, urls: Sequence[str], headers: Mapping[str, str]) -> None:
        self.nodes = [NodeClient(url, headers) for url in urls]
        self._known = {node.url: node for node in self.nodes}
        self._headers = headers
        self._leader: NodeClient | None = None

    def to_leader(self, deadline_s: float) -> Iterator[NodeClient]:
        """The nodes to send a write to, one after the other, until one has confirmed it.

        Every node is tried in each round; what :meth:`learn` is told meanwhile is tried next.

        :param deadline_s: monotonic time after which no further one is tried.
        """
        for _ in _rounds(deadline_s):
            tried: set[str] = set()
            waiting = list(self.nodes)
            while node := self._next(waiting, tried):
                tried.add(node.url)
                yield node
                if time.monotonic() >= deadline_s:
                    return

    def _next(self, waiting: list[NodeClient], tried: set[str]) -> NodeClient | None:
        if self._leader is not None and self._leader.url not in tried:
            return self._leader
        while waiting:
            node = waiting.pop(0)
            if node.url not in tried:
                return node
        return None

    def to_readers(self, deadline_s: float, *, prefer_followers: bool) -> Iterator[NodeClient]:
        """The nodes to read from, one after the other, until one has answered.

        :param deadline_s: monotonic time after which no further one is tried.
        :param prefer_followers: ask any node, and the leader, once it is known, last; otherwise the
            leader alone.
        """
        for _ in _rounds(deadline_s):
            nodes = self._followers_first() if prefer_followers else self._only_leader()
            for node in nodes:
                yield node
                if time.monotonic() >= deadline_s:
                    return

    def _only_leader(self) -> list[NodeClient]:
        leader = self._leader or self.find_leader()
        return [] if leader is None else [leader]

    def _followers_first(self) -> list[NodeClient]:
        nodes = random.sample(self.nodes, len(self.nodes))
        leader = self._leader
        return sorted(nodes, key=lambda node: leader is not None and node.url == leader.url)

    def find_leader(self) -> NodeClient | None:
        """Ask the nodes who leads, and believe the one that knows of the last epoch."""
        found = [
            (_rank(status), node.url if _leads(status) else status.leader)
            for node in self.nodes
            if (status := _status(node)) and (status.role == "leader" or status.leader)
        ]
        if found:
            self.learn(max(found)[1])
        return self._leader

    def learn(self, leader_url: str | None) -> None:
        """A node says who leads; None = it does not know."""
        if leader_url is None:
            return
        self._leader = self.node(leader_url)

    def node(self, url: str) -> NodeClient:
        """The node at a URL: one of those given, or another."""
        url = url.rstrip("/")
        if url not in self._known:
            self._known[url] = NodeClient(url, self._headers)
        return self._known[url]

    def forget(self, node: NodeClient) -> None:
        """A node does not lead, or does not answer."""
        if self._leader is not None and self._leader.url == node.url:
            self._leader = None

    def close(self) -> None:
        """Close the connections of the calling thread."""
        for node in list(self._known.values()):
            node.close()


def _rounds(deadline_s: float) -> Iterator[None]:
    """A first round, and further ones after ever longer pauses, until the deadline."""
    pause_s = _FIRST_PAUSE_S
    yield
    while (left_s := deadline_s - time.monotonic()) > 0:
        # Random, so that clients that fail together do not come back together.
        time.sleep(min(pause_s * random.uniform(0.5, 1), left_s))
        pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        if time.monotonic() < deadline_s:
            yield


def _leads(status: Status) -> bool:
    """Whether the node itself leads, or will when it has begun its reign."""
    return status.role == "leader" and (status.reign is not None or status.leader is None)


def _rank(status: Status) -> tuple[int, bool, bool]:
    """How much a node knows about who leads."""
    return status.epoch, status.role == "leader" and status.reign is not None, not _leads(status)


def _status(node: NodeClient) -> Status | None:
    try:
        return node.status(timeout_s=ASK_TIMEOUT_S)
    except NodeUnavailableError:
        return None
