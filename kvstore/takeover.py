"""How a leader without state of its own begins a reign.

A confirmed write may be on any single follower (the write quorum can be 1), so the leader looks
at *all* of them first, without changing anything. When all have answered it claims all of them,
and takes over the state of the one that holds the most. After the claims no older leader can
reach any of them, so the state taken over is complete.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from kvstore.entries import START, Entry, Item, Position, Request
from kvstore.errors import NothingToForce
from kvstore.messages import Answer, Claim, Fetch, Fetched, Hello, Message
from kvstore.progress import FollowerProgress, Stage, find_twin
from kvstore.records import Promise

HEARTBEAT_S = 0.5
FORCED_EPOCH_JUMP = 1000
"""Skips every epoch that a missing follower could have seen in a reign nobody knows of here."""


class Phase(Enum):
    """Where the takeover stands. The values are shown in ``/status``."""

    LOOKING = "looking"  # waiting until every follower has said what it holds
    CLAIMING = "claiming"  # waiting until every follower has accepted the reign
    FETCHING = "taking over"  # copying the best follower's state
    DONE = "starting"


@dataclass(slots=True)
class TakenState:
    """What was taken over; empty on the first start of a cluster.

    :param commit_index: a lower bound of what was confirmed.
    """

    position: Position
    items: list[Item]
    requests: list[Request]
    base: Position
    entries: list[Entry]
    commit_index: int


class Deposed(Exception):
    """Another reign has begun; the text says which."""


class Takeover:
    """The takeover of one leader.

    :param promise: the last reign that this node knows of.
    :param followers: all followers.
    :param node: the leader's own id.
    :param leader: the leader's URL.
    :param new_id: makes random ids.
    """

    def __init__(
        self,
        promise: Promise,
        followers: list[FollowerProgress],
        node: str,
        leader: str,
        new_id: Callable[[], str],
    ) -> None:
        self.phase = Phase.LOOKING
        self.promise = promise
        self.promise_saved = False
        self.problem: str | None = None
        self._followers = followers
        self._node = node
        self._leader = leader
        self._new_id = new_id
        self._known_epoch = promise.epoch
        self._seen: dict[str, Answer] = {}
        self._claimed: dict[str, Answer] = {}
        self._forced = False
        self._without: set[str] = set()
        self._best: str | None = None
        self._items: list[Item] = []
        self._requests: list[Request] = []
        self._entries: list[Entry] = []
        self.taken: TakenState | None = None
        self._claim_if_complete()

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the followers whose answer is missing."""
        if self.phase is Phase.FETCHING:
            return [self._best] if self._best else []
        answers = self._seen if self.phase is Phase.LOOKING else self._claimed
        return [a for a in self._wanted() if a not in answers]

    def force(self) -> list[str]:
        """Go on without the followers whose answer is missing.

        :return: their addresses.
        :raises NothingToForce: none is missing.
        """
        missing = [a for a in self.waiting_for if self.phase is not Phase.FETCHING]
        if not missing:
            raise NothingToForce("no follower's answer is missing")
        self._forced = True
        self._without.update(missing)
        if self.phase is Phase.CLAIMING:
            self._look_again()
        self._claim_if_complete()
        return missing

    # Messages

    def next_message(self, progress: FollowerProgress, now_s: float) -> Message | None:
        """What to say to this follower now, or None."""
        address = progress.address
        connected = progress.stage is not Stage.HELLO
        if self.phase is Phase.CLAIMING and connected and self._takes_part(address):
            if address not in self._claimed and self.promise_saved:
                return progress.claim(self.promise.header())
        elif self.phase is Phase.FETCHING and connected and address == self._best:
            return Fetch(**self.promise.header(), offset=self._fetched)
        unseen = self.phase is Phase.LOOKING and address not in self._seen
        if unseen or not connected or now_s - progress.last_sent_s >= HEARTBEAT_S:
            return Hello(cluster=None, epoch=0, reign="", leader=self._leader)
        return None

    def receive(self, progress: FollowerProgress, message: Message, answer: Answer) -> None:
        """Take in an answer.

        :raises Deposed: another leader has begun a reign while this one was claiming.
        """
        looked_at = self._seen.get(progress.address)
        replaced = looked_at is not None and answer.node != looked_at.node
        if replaced and self.phase in (Phase.CLAIMING, Phase.FETCHING):
            self._look_again()
            return
        if isinstance(message, Hello):
            self._receive_hello(progress, answer)
        elif message.reign != self.promise.reign or self.phase is Phase.LOOKING:
            return
        elif answer.epoch > self.promise.epoch:
            raise Deposed(f"epoch {answer.epoch}, met at {progress.address}")
        elif isinstance(message, Claim):
            self._receive_claim(progress, answer)
        elif isinstance(message, Fetch):
            self._receive_fetched(progress, answer)

    def lost(self, progress: FollowerProgress) -> None:
        """A follower does not answer any more."""
        if self.phase is Phase.LOOKING:
            self._seen.pop(progress.address, None)
        elif self.phase is Phase.FETCHING and progress.address == self._best:
            self._look_again()

    # Looking

    def _receive_hello(self, progress: FollowerProgress, answer: Answer) -> None:
        progress.stage = Stage.CLAIM
        if self.phase is not Phase.LOOKING:
            return
        twin = find_twin(progress, answer.node, self._followers, self._node)
        if twin is not None:
            self.problem = f"{progress.address} and {twin} are one node"
            self._seen.pop(progress.address, None)
            return
        self._seen[progress.address] = answer
        self._without.discard(progress.address)
        self._known_epoch = max(self._known_epoch, answer.epoch)
        self._claim_if_complete()

    def _claim_if_complete(self) -> None:
        if self.waiting_for:
            return
        found = [a.cluster for a in self._seen.values()] + [self.promise.cluster]
        clusters = sorted({cluster for cluster in found if cluster is not None})
        if len(clusters) > 1:
            self.problem = f"the followers belong to different clusters: {', '.join(clusters)}"
            return
        self.problem = None
        self._known_epoch += FORCED_EPOCH_JUMP if self._forced else 1
        self.promise = Promise(
            cluster=clusters[0] if clusters else self._new_id(),
            epoch=self._known_epoch,
            reign=self._new_id(),
            leader=self._leader,
        )
        self.promise_saved = False
        self.phase = Phase.CLAIMING
        if not self._wanted():
            self._choose()

    def _look_again(self) -> None:
        self.phase = Phase.LOOKING
        self._seen = {}
        self._claimed = {}
        self._items = []
        self._requests = []
        self._entries = []
        self._best = None

    # Claiming

    def _receive_claim(self, progress: FollowerProgress, answer: Answer) -> None:
        if answer.error is not None:
            self.problem = f"{progress.address} refused the claim: {answer.error}"
            self._look_again()
            return
        self._claimed[progress.address] = answer
        if not self.waiting_for:
            self._choose()

    def _choose(self) -> None:
        if self._claimed:
            best = max(self._claimed, key=lambda address: self._claimed[address].position)
            if self._claimed[best].position != START:
                self._best = best
                self.phase = Phase.FETCHING
                return
        self._finish(TakenState(START, [], [], START, [], 0))

    # Fetching

    def _receive_fetched(self, progress: FollowerProgress, answer: Answer) -> None:
        assert self._best is not None
        if progress.address != self._best or self.phase is not Phase.FETCHING:
            return
        claimed = self._claimed[self._best]
        same = answer.position == claimed.position
        if not isinstance(answer, Fetched) or answer.error is not None or not same:
            self._look_again()
            return
        self._items += [item.detached() for item in answer.items]
        self._requests += answer.requests
        self._entries += [entry.detached() for entry in answer.entries]
        if self._fetched >= answer.total:
            self._finish(
                TakenState(
                    position=answer.position,
                    items=self._items,
                    requests=self._requests,
                    base=answer.base,
                    entries=self._entries,
                    commit_index=answer.commit_index,
                )
            )

    def _finish(self, taken: TakenState) -> None:
        self.taken = taken
        self.phase = Phase.DONE

    # Helpers

    @property
    def _fetched(self) -> int:
        return len(self._items) + len(self._requests) + len(self._entries)

    def _takes_part(self, address: str) -> bool:
        return address not in self._without

    def _wanted(self) -> list[str]:
        return [p.address for p in self._followers if self._takes_part(p.address)]
