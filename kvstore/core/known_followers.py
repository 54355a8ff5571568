"""Which followers a leader knows, and how it gets to know others.

A follower that the leader does not know (perhaps its directory was emptied) is only asked, until a
known follower has acknowledged the entry that names it: if another leader had taken over meanwhile,
the known follower would have said so; the unknown one cannot.
"""

from collections.abc import Callable
from dataclasses import replace

from kvstore.core.entries import ReignId, members_at
from kvstore.core.leader_log import LeaderLog
from kvstore.core.progress import FollowerProgress, Stage
from kvstore.core.records import Promise, Record, SavePromise

NAMING_PAUSE_S = 1.0
"""How long an address waits to be named again, if one node after another answers there."""


class KnownFollowers:
    """The followers that the leader of one reign knows.

    :param promise: of the reign; its members are known.
    :param log: gets the entries that name followers.
    :param followers: all followers, by address.
    :param save: takes the records of what changes.
    """

    def __init__(
        self,
        promise: Promise,
        log: LeaderLog,
        followers: dict[str, FollowerProgress],
        save: Callable[[Record], None],
        naming_pause_s: float = NAMING_PAUSE_S,
    ) -> None:
        self.promise = promise
        """It names those that are known, or will be when it is durable."""
        self._log = log
        self._followers = followers
        self._save = save
        self._naming_pause_s = naming_pause_s
        self._known = set(promise.members.values())
        self._newcomers: dict[str, tuple[str, int]] = {}
        """Followers that are not members yet, by address: node id, and index of the entry that
        names it."""
        self._named_at_s: dict[str, float] = {}

    @property
    def reign(self) -> ReignId:
        """The reign they are known in."""
        assert self.promise.reign is not None, "a reign has an id"
        return self.promise.reign

    @property
    def lack_a_voucher(self) -> bool:
        """Whether there are unknown followers, and no known one answers."""
        followers = self._followers.values()
        return any(p.stage is Stage.UNKNOWN for p in followers) and not any(
            p.reachable and p.node_id in self._known for p in followers
        )

    def meet(self, progress: FollowerProgress, now_s: float) -> bool:
        """Whether the leader knows this follower; one that is new at its address gets named."""
        address, node = progress.address, progress.node_id
        assert node is not None, "it has answered"
        # One that is back at its address is named again, where another one was named there since.
        if self.promise.members.get(address) != node or address in self._newcomers:
            newcomer, index = self._newcomers.get(address, (None, 0))
            if newcomer != node:
                named_at_s = self._named_at_s.get(address, float("-inf"))
                if now_s - named_at_s < self._naming_pause_s:
                    return False
                index = self._name(address, node, now_s)
            progress.named_index = index
            if not self.promise.members:
                self._adopt(address)  # nobody could vouch for the first one
        return node in self._known

    def vouched(self, progress: FollowerProgress) -> None:
        """A follower has acknowledged entries; those that name newcomers may be among them."""
        if progress.node_id in self._known:
            for address, (_, index) in list(self._newcomers.items()):
                if index <= progress.match_index:
                    self._adopt(address)

    def saved(self, promise: Promise) -> None:
        """A promise is durable: the followers that it names count."""
        self._known = set(promise.members.values())
        for progress in self._followers.values():
            if progress.stage is Stage.UNKNOWN and progress.node_id in self._known:
                progress.stage = Stage.HELLO

    def _name(self, address: str, node: str, now_s: float) -> int:
        members = {**self.promise.members, **{a: n for a, (n, _) in self._newcomers.items()}}
        members[address] = node
        index = self._log.name(self.reign, members_at(self._followers, members), now_s)
        self._newcomers[address] = (node, index)
        self._named_at_s[address] = now_s
        return index

    def _adopt(self, address: str) -> None:
        node, _ = self._newcomers.pop(address)
        self.promise = replace(self.promise, members={**self.promise.members, address: node})
        self._save(SavePromise(self.promise))
