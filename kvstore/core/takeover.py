"""How a leader without state of its own begins a reign.

A confirmed write may be on any single follower (the write quorum can be 1), so the leader first
asks *all* of them what they hold, without changing anything: its own followers, and those that
their state or its own names. When all have answered it claims them, asks once more whether each
still holds what it held when it was claimed, and takes over the best state among theirs and its
own. After the claims no earlier leader can change any of them, so that state is complete.
"""

from collections.abc import Callable
from enum import Enum

from kvstore.core.entries import START, Position
from kvstore.core.errors import Deposed, InvalidRequest, NothingToForce
from kvstore.core.lineage import Lineage, holds_more
from kvstore.core.message_checks import check_claimed
from kvstore.core.messages import Answer, Claim, Fetch, Hello, Message
from kvstore.core.progress import FollowerProgress, Stage
from kvstore.core.records import Promise, Record, ReplaceState
from kvstore.core.state_fetch import StateFetch
from kvstore.core.survey import SELF, OwnState, Survey


class Phase(Enum):
    """Where the takeover stands. The values are shown in ``/status``."""

    LOOKING = "looking"  # waiting until every node has said what it holds
    CLAIMING = "claiming"  # waiting until every node has accepted the reign
    CHECKING = "checking"  # waiting until every node has said that it still holds that
    UNDECIDED = "undecided"  # two histories, and no rule says which to keep
    FETCHING = "taking over"  # copying the best state
    DONE = "starting"


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
        self.promise_saved = False
        self.problem: str | None = None
        self.taken: ReplaceState | None = None
        """The state taken over; None where the node's own is kept."""
        self.commit_index = 0
        """A lower bound of what is confirmed in the state taken over."""
        self._own = own
        self._followers = followers
        self._survey = Survey(promise, own, followers, forced=forced)
        self._new_id = new_id
        self._save = save
        self._can_be_replaced = promise.is_own and not forced
        self._to_ask = set(followers)
        self._hellos: dict[str, Message] = {}
        self._claimed: dict[str, Answer] = {}
        self._checked: set[str] = set()
        self._fetch: StateFetch | None = None
        for progress in followers.values():
            progress.restart()
        self._claim_if_complete()

    @property
    def promise(self) -> Promise:
        """The last reign that this node knows of: from the claims on, its own."""
        return self._survey.promise

    @property
    def waiting_for(self) -> list[str]:
        """Addresses of the nodes whose answer is missing."""
        match self.phase:
            case Phase.FETCHING:
                return [self._fetch.address] if self._fetch else []
            case Phase.LOOKING:
                return self._survey.waiting_for
            case Phase.CLAIMING:
                return [each for each in self._survey.answers if each not in self._claimed]
            case Phase.CHECKING:
                asked = [*self._claimed, *sorted(self._survey.elsewhere)]
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
        silent = {each.address for each in self._followers.values() if each.is_missing}
        missing = [address for address in self.waiting_for if address in silent]
        if not missing and not (self.phase is Phase.LOOKING and self._survey.nobody_remembers):
            raise NothingToForce(self._why_not_forced())
        self._survey.give_up(missing)
        if self.phase is not Phase.LOOKING:
            self._look_again()
        self._claim_if_complete()
        return missing

    def _why_not_forced(self) -> str:
        if self.problem is not None:
            return self.problem
        waiting_for = ", ".join(self.waiting_for)
        return f"still asking {waiting_for}: try again" if waiting_for else "no answer is missing"

    def give_up(self, addresses: list[str]) -> None:
        """Do not wait for these, unless they answer before the claims begin."""
        self._survey.give_up(addresses)
        self._claim_if_complete()

    # Messages

    def next_message(self, progress: FollowerProgress, now_s: float) -> Message | None:
        """What to send to this node now, or None."""
        address = progress.address
        connected = progress.stage is not Stage.HELLO
        if self.phase is Phase.CLAIMING and connected and address in self.waiting_for:
            if self.promise_saved:
                found = self._survey.answers[address].followed
                return progress.claim(self.promise.header(), self.promise.members, found)
        elif connected and self._fetch is not None and address == self._fetch.address:
            return self._fetch.next_message()
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
        if self._is_over(answer):
            raise Deposed(f"epoch {answer.epoch}, met at {progress.address}")
        if self.phase is Phase.DONE:
            return  # what it came to is being saved
        if self.phase is not Phase.LOOKING and self._was_replaced(progress.address, answer):
            self._look_again()
            return
        try:
            self._converse(progress, message, answer)
        except InvalidRequest as error:
            self._look_again(f"{progress.address} gave an invalid answer: {error}")

    def lost(self, progress: FollowerProgress) -> None:
        """A node does not answer any more."""
        if self.phase is Phase.LOOKING:
            self._survey.lost(progress.address)
        elif self._fetch is not None and progress.address == self._fetch.address:
            self._look_again()

    def _converse(self, progress: FollowerProgress, message: Message, answer: Answer) -> None:
        is_of_this_attempt = message.of_reign == self.promise.reign
        match message:
            case Hello():
                progress.stage = Stage.CLAIM
                if message is self._hellos.get(progress.address):
                    self._receive_hello(progress, answer)
            case Claim() if self.phase is Phase.CLAIMING and is_of_this_attempt:
                self._receive_claim(progress, answer)
            case Fetch() if self._fetch is not None and is_of_this_attempt:
                self._receive_fetched(self._fetch, message, answer)

    def _receive_hello(self, progress: FollowerProgress, answer: Answer) -> None:
        if self.phase is Phase.LOOKING:
            self._look(progress, answer)
        elif self.phase is Phase.CHECKING:
            self._check(progress, answer)

    # Looking

    def _look(self, progress: FollowerProgress, answer: Answer) -> None:
        self._survey.hear(progress, answer)
        self.problem = self._survey.twins_problem
        self._claim_if_complete()

    def _claim_if_complete(self) -> None:
        self._survey.ask_named()
        if self.waiting_for:
            return
        self.problem = self._survey.why_not_to_claim()
        if self.problem is None:
            self._claim()

    def _claim(self) -> None:
        self._survey.promise_to_lead(self._new_id)
        self.promise_saved = False
        self._can_be_replaced = True
        self.phase = Phase.CLAIMING
        if not self.waiting_for:
            self._choose()

    def _look_again(self, problem: str | None = None) -> None:
        """Start over.

        :param problem: what went wrong, and may again; so the nodes are not asked at once.
        """
        self.phase = Phase.LOOKING
        self.problem = problem
        self._survey.start_over()
        self._to_ask = set(self._followers) if problem is None else set()
        self._hellos = {}
        self._claimed = {}
        self._fetch = None

    # Claiming, and looking once more

    def _receive_claim(self, progress: FollowerProgress, answer: Answer) -> None:
        if answer.error is not None:
            self._look_again()
            self.problem = f"{progress.address} refused the claim: {answer.error}"
            return
        check_claimed(answer)
        self._claimed[progress.address] = answer
        if self.waiting_for:
            return
        if self._survey.named_but_unheard(self._claimed):
            self._look_again()
        else:
            self._check_all()

    def _check_all(self) -> None:
        # One could have lost its state while the others were being claimed, and an address that
        # led to another node could lead to its own again.
        self.phase = Phase.CHECKING
        self._checked = set()
        self._followers.update({a: FollowerProgress(a) for a in self._survey.elsewhere})
        self._to_ask = set(self._claimed)
        self._hellos = {}

    def _check(self, progress: FollowerProgress, answer: Answer) -> None:
        address = progress.address
        if address in self._survey.elsewhere:
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
        self._fetch = StateFetch(
            name, self._claimed[name], self.promise, self._new_id(), self._save
        )
        self.phase = Phase.FETCHING

    # Fetching

    def _receive_fetched(self, fetch: StateFetch, message: Fetch, answer: Answer) -> None:
        if not fetch.receive(message, answer):
            self._look_again()
        elif fetch.state is not None:
            self.taken = fetch.state
            self.commit_index = answer.commit_index
            self.phase = Phase.DONE
            self._fetch = None

    # Helpers

    def _is_over(self, answer: Answer) -> bool:
        if not self._can_be_replaced:
            return False
        assert self.promise.reign is not None, "an own promise has a reign"
        return self.promise.reign.is_deposed_by(answer.followed)

    def _was_replaced(self, address: str, answer: Answer) -> bool:
        """Whether another node answers at an address than the one that was looked at there."""
        looked_at = self._survey.answers.get(address)
        return looked_at is not None and answer.node_id != looked_at.node_id
