"""How a leader without state of its own begins a reign.

A confirmed write may be on any single follower (the write quorum can be 1), so the leader first
asks *all* of them what they hold, without changing anything: its own followers, and those that
their state or its own names. When all have answered it claims them, asks once more whether each
still holds what it held when it was claimed, and takes over the best state among theirs and its
own. After the claims no earlier leader can change any of them, so that state is complete.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from kvstore.core.entries import MAX_EPOCH, MAX_EPOCH_JUMP, START, Entry, Members, Position, ReignId
from kvstore.core.errors import Deposed, InvalidRequest, NothingToForce
from kvstore.core.lineage import Lineage, holds_more
from kvstore.core.message_checks import check_claimed, check_fetched
from kvstore.core.messages import Answer, Claim, Fetch, Fetched, Hello, Message
from kvstore.core.progress import FollowerProgress, Stage, find_twin
from kvstore.core.records import Promise, Record, ReplaceState, StageParts

FORCED_EPOCH_JUMP = 1000
"""Skips the epochs that missing followers may have seen in reigns unknown here. A random number is
added, so that two forced takeovers do not choose the same epoch."""
SELF = "self"
"""Stands for the leader's own state where an operator has to choose."""


class Phase(Enum):
    """Where the takeover stands. The values are shown in ``/status``."""

    LOOKING = "looking"  # waiting until every node has said what it holds
    CLAIMING = "claiming"  # waiting until every node has accepted the reign
    CHECKING = "checking"  # waiting until every node has said that it still holds that
    UNDECIDED = "undecided"  # two histories, and no rule says which to keep
    FETCHING = "taking over"  # copying the best state
    DONE = "starting"


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


class Takeover:
    """The takeover of one leader.

    :param promise: the last reign that this node knows of.
    :param own: the state that the node has, a candidate like every follower's.
    :param followers: all followers by address; other nodes that have to be asked are added, and the
        leader removes them afterwards.
    :param new_id: makes random ids.
    :param save: takes the records of what changes.
    :param forced: whether an operator asked for it, perhaps after another leader's reign.
    """

    def __init__(
        self,
        promise: Promise,
        own: OwnState,
        followers: dict[str, FollowerProgress],
        new_id: Callable[[], str],
        save: Callable[[Record], None],
        *,
        forced: bool = False,
    ) -> None:
        self.phase = Phase.LOOKING
        self.promise = promise
        self.promise_saved = False
        self.problem: str | None = None
        self.taken: ReplaceState | None = None
        """The state taken over; None where the node's own is kept."""
        self.commit_index = 0
        """A lower bound of what is confirmed in the state taken over."""
        self._own = own
        self._own_address = urlsplit(own.url).netloc
        self._addresses = list(followers)
        self._followers = followers
        self._new_id = new_id
        self._save = save
        self._forced = forced
        self._can_be_replaced = promise.is_own and not forced
        # The epoch of its own first takeover, if unfinished, does not count as memory.
        self._remembers = promise.epoch > int(promise.is_own) or own.position != START
        self._known_epoch = promise.epoch
        self._twins: dict[str, str] = {}
        """Pairs of addresses that are one node."""
        self._seen: dict[str, Answer] = {}
        self._claimed: dict[str, Answer] = {}
        self._checked: set[str] = set()
        self._to_ask = set(followers)
        self._hellos: dict[str, Message] = {}
        self._without: set[str] = set()
        self._elsewhere: set[str] = set()
        """Addresses whose node is counted under another address."""
        self._best: str | None = None
        self._staging = ""
        """Id of the copy that is being fetched."""
        self._staged = 0
        """How many items and requests of it have arrived."""
        self._entries: list[Entry] = []
        self._total = 0
        for progress in followers.values():
            progress.restart()
        self._claim_if_complete()

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the nodes whose answer is missing."""
        match self.phase:
            case Phase.FETCHING:
                return [self._best] if self._best else []
            case Phase.LOOKING:
                return [*self._unseen(), *self._named_but_unseen(self._seen)]
            case Phase.CLAIMING:
                return [address for address in self._seen if address not in self._claimed]
            case Phase.CHECKING:
                asked = [*self._claimed, *sorted(self._elsewhere)]
                return [address for address in asked if address not in self._checked]
        return []

    def force(self, keep: str | None) -> list[str]:
        """Continue without the nodes whose answer is missing, or decide between two histories.

        :param keep: address of the node whose history to keep, or ``self``; None = no choice.
        :return: the addresses of those that are missing.
        :raises NothingToForce: all nodes have answered, or there is no such choice.
        """
        if self.phase is Phase.UNDECIDED:
            if keep not in self._candidates():
                raise NothingToForce(self.problem or "")
            self._keep(keep)
            return []
        if keep is not None:
            raise NothingToForce("there are no two histories to choose from")
        missing = [a for a in self.waiting_for if self._does_not_answer(a)]
        if not missing and not (self.phase is Phase.LOOKING and self._nobody_remembers()):
            raise NothingToForce(self._why_not_forced())
        self._forced = True
        self._without.update(missing)
        if self.phase is not Phase.LOOKING:
            self._look_again()
        self._claim_if_complete()
        return missing

    def _does_not_answer(self, address: str) -> bool:
        """Whether it was asked in vain; a node that was not asked yet is not missing."""
        progress = self._followers.get(address)
        return progress is not None and not progress.reachable and progress.problem is not None

    def _why_not_forced(self) -> str:
        if self.problem is not None:
            return self.problem
        waiting_for = ", ".join(self.waiting_for)
        return f"still asking {waiting_for}: try again" if waiting_for else "no answer is missing"

    def give_up(self, addresses: list[str]) -> None:
        """Do not wait for these, unless they answer before the claims begin."""
        self._without.update(addresses)
        self._claim_if_complete()

    # Messages

    def next_message(self, progress: FollowerProgress, now_s: float) -> Message | None:
        """What to send to this node now, or None."""
        address = progress.address
        connected = progress.stage is not Stage.HELLO
        if self.phase is Phase.CLAIMING and connected and address in self.waiting_for:
            if self.promise_saved:
                found = self._seen[address].followed
                return progress.claim(self.promise.header(), self.promise.members, found)
        elif self.phase is Phase.FETCHING and connected and address == self._best:
            return Fetch(**self.promise.header(), offset=self._fetched)
        if connected and address not in self._to_ask and not progress.is_due(now_s):
            return None
        hello = Hello(cluster_id=None, epoch=0, reign_id="", leader_url=self._own.url)
        self._to_ask.discard(address)
        self._hellos[address] = hello
        return hello

    def receive(self, progress: FollowerProgress, message: Message, answer: Answer) -> None:
        """Handle an answer.

        :raises Deposed: a later reign has begun, or a twin of this one.
        """
        if self._is_over(answer.followed):
            raise Deposed(f"epoch {answer.epoch}, met at {progress.address}")
        if self.phase is Phase.DONE:
            return  # what it came to is being saved
        if self.phase is not Phase.LOOKING and self._was_replaced(progress.address, answer):
            self._look_again()
        elif isinstance(message, Hello):
            self._receive_hello(progress, message, answer)
        elif self._is_of_this_attempt(message) and isinstance(message, Claim):
            self._receive_claim(progress, answer)
        elif self._is_of_this_attempt(message) and isinstance(message, Fetch):
            self._receive_fetched(progress, message, answer)

    def lost(self, progress: FollowerProgress) -> None:
        """A node does not answer any more."""
        if self.phase is Phase.LOOKING:
            self._seen.pop(progress.address, None)
        elif self.phase is Phase.FETCHING and progress.address == self._best:
            self._look_again()

    # Looking

    def _receive_hello(self, progress: FollowerProgress, message: Message, answer: Answer) -> None:
        progress.stage = Stage.CLAIM
        if message is not self._hellos.get(progress.address):
            return
        if self.phase is Phase.LOOKING:
            self._look(progress, answer)
        elif self.phase is Phase.CHECKING:
            self._check(progress, answer)

    def _look(self, progress: FollowerProgress, answer: Answer) -> None:
        address = progress.address
        twin = find_twin(
            progress, answer.node_id, list(self._followers.values()), self._own.node_id
        )
        self._twins.pop(address, None)
        if twin is not None and address not in self._addresses:
            del self._followers[address]  # it was asked by name, and answers elsewhere too
            self._elsewhere.add(address)
        elif twin is not None:
            self._twins[address] = twin
            self._seen.pop(address, None)
        else:
            self._seen[address] = answer
            self._without.discard(address)
            self._known_epoch = max(self._known_epoch, answer.epoch)
        self.problem = None
        for first, second in self._twins.items():
            self.problem = f"{first} and {second} are one node"
        self._claim_if_complete()

    def _claim_if_complete(self) -> None:
        if self._unseen():
            return
        for address in self._named_but_unseen(self._seen):
            if address not in self._followers:
                self._followers[address] = FollowerProgress(address)
        if self.waiting_for or not self._may_claim():
            return
        self.problem = None
        self._known_epoch += 1
        reign = self._new_id()
        if self._without:
            self._known_epoch += FORCED_EPOCH_JUMP + zlib.crc32(reign.encode()) % 1_000_000
        self.promise = Promise(
            cluster_id=self._clusters()[0],
            reign=ReignId(self._known_epoch, 0, reign, reign),
            leader_url=self._own.url,
            members={address: answer.node_id for address, answer in self._seen.items()},
            is_own=True,
        )
        self.promise_saved = False
        self._can_be_replaced = True
        self.phase = Phase.CLAIMING
        if not self._seen:
            self._choose()

    def _may_claim(self) -> bool:
        bound = self._bound_clusters()
        epochs = {address: a.epoch for address, a in self._seen.items() if a.epoch > 0}
        if self.promise.epoch > 0:
            epochs[SELF] = self.promise.epoch
        absurd = max(epochs, key=epochs.__getitem__, default=SELF)
        highest = min([MAX_EPOCH - MAX_EPOCH_JUMP, *(e + MAX_EPOCH_JUMP for e in epochs.values())])
        if epochs and epochs[absurd] > highest:
            self.problem = f"the epoch of {absurd}, {epochs[absurd]}, is implausibly high"
        elif len(bound) > 1:
            self.problem = f"the followers belong to different clusters: {', '.join(bound)}"
        elif self._remembers and not self._forced and self._nobody_remembers():
            self.problem = (
                f"this directory remembers epoch {self.promise.epoch}, but no follower remembers "
                "any: have they all been emptied? POST /admin/force_start continues anyway"
            )
        else:
            return True
        return False

    def _nobody_remembers(self) -> bool:
        return bool(self._seen) and all(a.followed is None for a in self._seen.values())

    def _bound_clusters(self) -> list[str]:
        """The ids of clusters that hold entries: an id binds only together with an entry."""
        bound = {a.cluster_id for a in self._seen.values() if a.position != START}
        if self._own.position != START:
            bound.add(self.promise.cluster_id)
        return sorted(cluster for cluster in bound if cluster is not None)

    def _clusters(self) -> list[str]:
        found = [self.promise.cluster_id, *sorted(a.cluster_id or "" for a in self._seen.values())]
        return [*self._bound_clusters(), *filter(None, found), self._new_id()]

    def _unseen(self) -> list[str]:
        answered = {*self._seen, *self._without}
        return [address for address in self._addresses if address not in answered]

    def _named_but_unseen(self, answers: dict[str, Answer]) -> list[str]:
        """Addresses of unseen nodes that count in the newest epoch: one may hold the most."""
        newest = max([self.promise.epoch, *(a.epoch for a in answers.values())])
        named = [a.members for a in answers.values() if a.epoch == newest]
        if self.promise.epoch == newest:
            named += [self._own.members, self.promise.members]
        nodes = {self._own.node_id, *(a.node_id for a in self._seen.values())}
        answered = {self._own_address, *self._seen, *self._without, *self._addresses}
        answered |= self._elsewhere
        places = [(a, node) for members in named for a, node in members.items()]
        homes = {node: address for address, node in places}
        missing = set()
        for address, node in places:
            if node not in nodes:
                # A node that answers here but is named elsewhere has moved; this one may have, too.
                found = self._seen.get(address)
                home = address if found is None else homes.get(found.node_id, address)
                missing.update({address, home} - answered)
        return sorted(missing)

    def _look_again(self, problem: str | None = None) -> None:
        """Start over.

        :param problem: what went wrong, and may again; so the nodes are not asked at once.
        """
        self.phase = Phase.LOOKING
        self.problem = problem
        self._seen = {}
        self._claimed = {}
        for address in self._elsewhere:
            self._followers.pop(address, None)
        self._elsewhere = set()
        self._to_ask = set(self._followers) if problem is None else set()
        self._hellos = {}
        self._staged = 0
        self._entries = []
        self._total = 0
        self._best = None

    # Claiming, and looking once more

    def _receive_claim(self, progress: FollowerProgress, answer: Answer) -> None:
        if answer.error is not None:
            self._look_again()
            self.problem = f"{progress.address} refused the claim: {answer.error}"
            return
        try:
            check_claimed(answer)
        except InvalidRequest as error:
            self._look_again(f"{progress.address} gave an invalid answer: {error}")
            return
        self._claimed[progress.address] = answer
        if self.phase is not Phase.CLAIMING or self.waiting_for:
            return
        if self._named_but_unseen(self._claimed):
            self._look_again()
        else:
            self._check_all()

    def _check_all(self) -> None:
        # One could have lost its state while the others were being claimed, and an address that
        # led to another node could lead to its own again.
        self.phase = Phase.CHECKING
        self._checked = set()
        self._followers.update({a: FollowerProgress(a) for a in self._elsewhere})
        self._to_ask = set(self._claimed)
        self._hellos = {}

    def _check(self, progress: FollowerProgress, answer: Answer) -> None:
        address = progress.address
        if address in self._elsewhere:
            del self._followers[address]
            counted = {self._own.node_id, *(a.node_id for a in self._claimed.values())}
            same = answer.node_id in counted
        elif address in self._claimed:
            held = (self.promise.reign, self._claimed[address].position)
            same = (answer.followed, answer.position) == held
        else:
            return
        if not same:
            self._look_again()
            return
        self._checked.add(address)
        if not self.waiting_for:
            self._choose()

    # Choosing

    def _candidates(self) -> dict[str, tuple[Position, Lineage]]:
        found = {SELF: (self._own.position, self._own.lineage)}
        for address, answer in self._claimed.items():
            found[address] = (answer.position, Lineage(answer.lineage))
        held = {name: state for name, state in found.items() if state[0] != START}
        return held or {SELF: found[SELF]}

    def _choose(self) -> None:
        candidates = self._candidates()
        for name, state in candidates.items():
            if all(holds_more(state, other) for other in candidates.values()):
                self._keep(name)
                return
        self.phase = Phase.UNDECIDED
        self.problem = (
            f"these hold diverging histories, and no rule says which to keep: "
            f"{', '.join(candidates)}; POST /admin/force_start with "
            '{"keep": one of them} decides'
        )

    def _keep(self, name: str) -> None:
        self.problem = None
        if name == SELF:
            self.phase = Phase.DONE
            return
        self._best = name
        self._staging = self._new_id()
        self.phase = Phase.FETCHING

    # Fetching

    def _receive_fetched(self, progress: FollowerProgress, message: Fetch, answer: Answer) -> None:
        if progress.address != self._best or self.phase is not Phase.FETCHING:
            return
        claimed = self._claimed[self._best]
        changed = answer.position != claimed.position or message.offset != self._fetched
        if changed or not isinstance(answer, Fetched) or answer.error is not None:
            self._look_again()
            return
        lineage = Lineage(claimed.lineage)
        last = self._entries[-1].position if self._entries else None
        try:
            check_fetched(answer, lineage, message.offset, last)
        except InvalidRequest as error:
            self._look_again(f"{progress.address} gave an invalid answer: {error}")
            return
        if answer.total != (self._total if message.offset else answer.total):
            self._look_again()
            return
        self._total = answer.total
        self._save(StageParts(self._staging, answer.items, answer.requests))
        self._staged += len(answer.items) + len(answer.requests)
        self._entries += [entry.detached() for entry in answer.entries]
        if self._fetched == answer.total:
            self._finish(answer, lineage)

    def _finish(self, answer: Fetched, lineage: Lineage) -> None:
        base = lineage.position_at(answer.base_index)
        assert base is not None, "it was checked"
        self.taken = ReplaceState(
            promise=self.promise,
            staging_id=self._staging,
            position=answer.position,
            base=base,
            entries=self._entries,
            lineage=lineage,
            members=answer.members,
        )
        self.commit_index = answer.commit_index
        self.phase = Phase.DONE

    # Helpers

    def _is_over(self, followed: ReignId | None) -> bool:
        if followed is None or not self._can_be_replaced:
            return False
        assert self.promise.reign is not None, "an own promise has a reign"
        return followed.deposes(self.promise.reign)

    def _was_replaced(self, address: str, answer: Answer) -> bool:
        """Whether another node answers at an address than the one that was looked at there."""
        looked_at = self._seen.get(address)
        return looked_at is not None and answer.node_id != looked_at.node_id

    def _is_of_this_attempt(self, message: Message) -> bool:
        return self.phase is not Phase.LOOKING and message.of_reign == self.promise.reign

    @property
    def _fetched(self) -> int:
        return self._staged + len(self._entries)
