"""How many copies of the data may be lost now.

A confirmed write is held by the leader and at least W followers, so at most W of these may lose
their directories, or get older copies of them, before it is held by as many nodes again. One
follower that its leader knows must stay: without any, an operator would have to decide.
"""

import threading

from kvstore.api_types import Status


class Loss:
    """One directory that was deleted, or put back to an older copy."""

    def __init__(self) -> None:
        self.returned = False
        """Whether the node was started again."""


class Losses:
    """The nodes that lost their directories and may not hold everything again yet.

    :param write_quorum: W, at least 1.
    :param leader: the leader's name.
    :param followers: how many there are.
    """

    def __init__(self, write_quorum: int, leader: str, followers: int) -> None:
        self._write_quorum = write_quorum
        self._leader = leader
        self._followers = followers
        self._losses: dict[str, Loss] = {}
        self._lock = threading.Lock()

    def allow(self, names: list[str]) -> list[str]:
        """Say which of these nodes may lose their directories now; they count as lost at once."""
        allowed = []
        with self._lock:
            for name in names:
                if name in self._losses or self._one_more(name):
                    self._losses[name] = Loss()
                    allowed.append(name)
        return allowed

    def _one_more(self, name: str) -> bool:
        followers = len(self._losses.keys() - {self._leader})
        stays = name == self._leader or followers + 1 < self._followers
        return stays and len(self._losses) < self._write_quorum

    def returned(self, name: str) -> None:
        """A node that had lost its directory was started again."""
        with self._lock:
            self._losses[name].returned = True

    def waiting(self) -> dict[str, Loss]:
        """The nodes that were started again and may hold everything by now."""
        with self._lock:
            return {name: loss for name, loss in self._losses.items() if loss.returned}

    def look(
        self,
        waiting: dict[str, Loss],
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
        good = {self._leader}
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
                if self._losses.get(name) is waiting[name]:
                    del self._losses[name]
