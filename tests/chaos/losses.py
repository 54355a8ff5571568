"""How many copies of the data may be lost now.

A confirmed write is held by the leader and at least W followers, so at most W of these may lose
their directories, or get older copies of them, before it is held by as many nodes again. One
follower that its leader knows must stay: without any, an operator would have to decide.
"""

import threading

from kvstore.api_types import Status
from tests.chaos.fault import LEADER


class Losses:
    """The nodes that lost their directories and may not hold everything again yet.

    :param write_quorum: W, at least 1.
    :param followers: how many there are.
    """

    def __init__(self, write_quorum: int, followers: int) -> None:
        self._write_quorum = write_quorum
        self._followers = followers
        self._lost: set[str] = set()
        self._returned: dict[str, object] = {}
        self._lock = threading.Lock()

    def allow(self, names: list[str]) -> list[str]:
        """Say which of these nodes may lose their directories now; they count as lost at once."""
        with self._lock:
            for name in names:
                lost = self._lost | {name}
                if len(lost) <= self._write_quorum and len(lost - {LEADER}) < self._followers:
                    self._lost = lost
            allowed = [name for name in names if name in self._lost]
            for name in allowed:
                self._returned.pop(name, None)
            return allowed

    def returned(self, name: str) -> None:
        """A node that had lost its directory was started again."""
        with self._lock:
            self._returned[name] = object()

    def waiting(self) -> dict[str, object]:
        """The nodes that were started again and may hold everything by now; each return is an
        object of its own.
        """
        with self._lock:
            return self._returned.copy()

    def look(
        self,
        waiting: dict[str, object],
        leader: Status,
        followers: dict[str, tuple[str, str, int]],
    ) -> None:
        """Forget the losses that are made good.

        :param waiting: what was waiting before anyone was asked.
        :param leader: its ``/status``.
        :param followers: for each of them that is a follower: its address, as the leader calls it,
            and its node id and applied index, from its own ``/status``, asked after the leader's.
        """
        if leader.state != "leading":
            return
        # A leader that leads holds everything confirmed; a follower does up to its match index.
        good = {LEADER}
        holding = {
            (shown.address, shown.node)
            for shown in leader.followers
            if shown.state == "streaming" and shown.match_index >= leader.commit_index
        }
        # The leader may not have noticed yet that a follower has got an older copy.
        good.update(
            name
            for name, (address, node, applied_index) in followers.items()
            if (address, node) in holding and applied_index >= leader.commit_index
        )
        with self._lock:
            for name in good & waiting.keys():
                if self._returned.get(name) is waiting[name]:
                    del self._returned[name]
                    self._lost.remove(name)
