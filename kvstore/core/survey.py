"""What the nodes say that a takeover asks, and what follows from it.

The survey knows whom the takeover has to hear before it may claim anybody: all followers that the
leader was told of, and those that the newest state found names.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from kvstore.core.entries import MAX_EPOCH, MAX_EPOCH_JUMP, START, Members, Position, ReignId
from kvstore.core.lineage import Lineage
from kvstore.core.messages import Answer
from kvstore.core.node_state import NodeState
from kvstore.core.progress import FollowerProgress, find_twin
from kvstore.core.records import Promise

FORCED_EPOCH_JUMP = 1000
"""Skips the epochs that missing followers may have seen in reigns unknown here. A random number is
added, so that two forced takeovers do not choose the same epoch."""
SELF = "self"
"""Stands for the leader's own state where an operator has to choose."""


@dataclass(frozen=True, slots=True)
class OwnState:
    """What the node itself holds.

    :param members: the followers that its log and its promise name.
    """

    node_id: str
    url: str
    position: Position
    lineage: Lineage
    members: Members

    @classmethod
    def of(cls, state: NodeState, url: str) -> "OwnState":
        """What is in a node's state.

        :param url: of the node.
        """
        log = state.log
        members = {**state.promise.members, **log.members}
        return cls(state.node_id, url, log.last, log.lineage, members)


class Survey:
    """The answers of one round, and what is remembered from earlier ones.

    :param promise: the last reign that this node knows of.
    :param own: the state that the node has.
    :param followers: all followers by address; other nodes that have to be asked are added.
    :param forced: whether an operator takes the blame if those that answer remember nothing.
    """

    def __init__(
        self,
        promise: Promise,
        own: OwnState,
        followers: dict[str, FollowerProgress],
        *,
        forced: bool,
    ) -> None:
        self.promise = promise
        self.answers: dict[str, Answer] = {}
        """What each node holds, by address."""
        self.elsewhere: set[str] = set()
        """Addresses whose node is counted under another address."""
        self._own = own
        self._own_address = urlsplit(own.url).netloc
        self._addresses = list(followers)
        self._followers = followers
        self._forced = forced
        # The epoch of its own first takeover, if unfinished, does not count as memory.
        self._remembers = promise.epoch > int(promise.is_own) or own.position != START
        self._known_epoch = promise.epoch
        self._twins: dict[str, str] = {}
        """Pairs of addresses that are one node."""
        self._without: set[str] = set()

    # Answers

    def hear(self, progress: FollowerProgress, answer: Answer) -> None:
        """Note what a node says that it holds."""
        address = progress.address
        twin = find_twin(
            progress, answer.node_id, list(self._followers.values()), self._own.node_id
        )
        self._twins.pop(address, None)
        if twin is not None and address not in self._addresses:
            del self._followers[address]  # it was asked by name, and answers elsewhere too
            self.elsewhere.add(address)
        elif twin is not None:
            self._twins[address] = twin
            self.answers.pop(address, None)
        else:
            self.answers[address] = answer
            self._without.discard(address)
            self._known_epoch = max(self._known_epoch, answer.epoch)

    def lost(self, address: str) -> None:
        """A node does not answer any more: what it said may have changed when it returns."""
        self.answers.pop(address, None)

    def give_up(self, addresses: list[str]) -> None:
        """An operator asks to go on without these, unless they answer after all."""
        self._forced = True
        self._without.update(addresses)

    def start_over(self) -> None:
        """Forget the answers, but not the epochs met."""
        self.answers = {}
        for address in self.elsewhere:
            self._followers.pop(address, None)
        self.elsewhere = set()

    # Whose answer is missing

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the nodes whose answer is missing."""
        return [*self._unheard(), *self.named_but_unheard(self.answers)]

    def ask_named(self) -> None:
        """When all followers have answered, ask those that they name, too."""
        if self._unheard():
            return
        for address in self.named_but_unheard(self.answers):
            if address not in self._followers:
                self._followers[address] = FollowerProgress(address)

    def _unheard(self) -> list[str]:
        answered = {*self.answers, *self._without}
        return [address for address in self._addresses if address not in answered]

    def named_but_unheard(self, answers: dict[str, Answer]) -> list[str]:
        """Addresses of unheard nodes that count in the newest epoch: one may hold the most.

        :param answers: what names them.
        """
        newest = max([self.promise.epoch, *(a.epoch for a in answers.values())])
        named = [a.members for a in answers.values() if a.epoch == newest]
        if self.promise.epoch == newest:
            named += [self._own.members, self.promise.members]
        nodes = {self._own.node_id, *(a.node_id for a in self.answers.values())}
        answered = {self._own_address, *self.answers, *self._without, *self._addresses}
        answered |= self.elsewhere
        places = [(a, node) for members in named for a, node in members.items()]
        homes = {node: address for address, node in places}
        missing = set()
        for address, node in places:
            if node not in nodes:
                # A node that answers here but is named elsewhere has moved; this one may have, too.
                found = self.answers.get(address)
                home = address if found is None else homes.get(found.node_id, address)
                missing.update({address, home} - answered)
        return sorted(missing)

    # What follows from the answers

    @property
    def twins_problem(self) -> str | None:
        """Which two addresses are one node; None if none are."""
        pairs = [f"{first} and {second} are one node" for first, second in self._twins.items()]
        return pairs[-1] if pairs else None

    def why_not_to_claim(self) -> str | None:
        """Why these nodes must not be claimed; None if they may be."""
        bound = self._bound_clusters()
        epochs = {address: a.epoch for address, a in self.answers.items() if a.epoch > 0}
        if self.promise.epoch > 0:
            epochs[SELF] = self.promise.epoch
        absurd = max(epochs, key=epochs.__getitem__, default=SELF)
        highest = min([MAX_EPOCH - MAX_EPOCH_JUMP, *(e + MAX_EPOCH_JUMP for e in epochs.values())])
        if epochs and epochs[absurd] > highest:
            return f"the epoch of {absurd}, {epochs[absurd]}, is implausibly high"
        if len(bound) > 1:
            return f"the followers belong to different clusters: {', '.join(bound)}"
        if self._remembers and not self._forced and self.nobody_remembers:
            return (
                f"this directory remembers epoch {self.promise.epoch}, but no follower remembers "
                "any: have they all been emptied? POST /admin/force_start continues anyway"
            )
        return None

    @property
    def nobody_remembers(self) -> bool:
        """Whether there are answers, and all are from nodes that belong to no reign."""
        return bool(self.answers) and all(a.followed is None for a in self.answers.values())

    def promise_to_lead(self, new_id: Callable[[], str]) -> None:
        """Make the promise of a reign above all that were met, with those that have answered."""
        self._known_epoch += 1
        reign = new_id()
        if self._without:
            self._known_epoch += FORCED_EPOCH_JUMP + zlib.crc32(reign.encode()) % 1_000_000
        self.promise = Promise(
            cluster_id=self._cluster() or new_id(),
            reign=ReignId(self._known_epoch, 0, reign, reign),
            leader_url=self._own.url,
            members={address: answer.node_id for address, answer in self.answers.items()},
            is_own=True,
        )

    def _cluster(self) -> str | None:
        """The cluster that is found, one with entries first; None if there is none."""
        others = sorted(a.cluster_id or "" for a in self.answers.values())
        found = [*self._bound_clusters(), self.promise.cluster_id, *others]
        return next(filter(None, found), None)

    def _bound_clusters(self) -> list[str]:
        """The ids of clusters that hold entries: an id binds only together with an entry."""
        bound = {a.cluster_id for a in self.answers.values() if a.position != START}
        if self._own.position != START:
            bound.add(self.promise.cluster_id)
        return sorted(cluster for cluster in bound if cluster is not None)
