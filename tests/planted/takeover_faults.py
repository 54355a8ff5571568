"""Faults in how a leader without state of its own takes over."""

from kvstore.core.entries import Position
from kvstore.core.lineage import Lineage, holds_more
from kvstore.core.messages import Answer, Message
from kvstore.core.progress import FollowerProgress
from kvstore.core.survey import SELF, Survey
from kvstore.core.takeover import Takeover
from tests.planted.planting import SIMULATOR, planted

State = tuple[Position, Lineage]

# Whom it waits for

unheard = Survey._unheard
why_not_to_claim = Survey.why_not_to_claim
check_all = Takeover._check_all
next_message = Takeover.next_message


@planted(Survey._unheard, SIMULATOR)
def a_takeover_does_not_wait_for_the_last_follower(self: Survey) -> list[str]:
    return unheard(self)[1:]


@planted(
    Survey.named_but_unheard,
    "test_takeover.py::test_a_named_node_is_waited_for_claimed_and_fetched_from",
)
def a_takeover_ignores_the_nodes_that_are_named(
    self: Survey, answers: dict[str, Answer]
) -> list[str]:
    return []


@planted(
    Survey.why_not_to_claim,
    "test_takeover.py::test_a_directory_that_remembers_alone_needs_an_operator",
)
def a_directory_that_remembers_alone_starts_anew(self: Survey) -> str | None:
    self._remembers = False
    return why_not_to_claim(self)


@planted(
    Takeover.next_message,
    "test_takeover.py::test_nothing_is_claimed_before_all_have_answered_and_the_promise_is_saved",
)
def a_claim_is_sent_before_the_promise_of_the_leader_is_durable(
    self: Takeover, progress: FollowerProgress, now_s: float
) -> Message | None:
    self.promise_saved = True
    return next_message(self, progress, now_s)


# Whether its claims still hold

STARTS_OVER = "test_takeover.py::test_it_starts_over_under_a_higher_epoch"


@planted(Takeover._was_replaced, STARTS_OVER)
def a_takeover_proceeds_on_a_follower_that_was_replaced_meanwhile(
    self: Takeover, address: str, answer: Answer
) -> bool:
    return False


@planted(Takeover._check_all, STARTS_OVER)
def a_takeover_does_not_check_again_after_its_last_claim(self: Takeover) -> None:
    self._choose()


@planted(
    Takeover._check_all,
    "test_takeover.py::test_an_address_that_led_elsewhere_is_asked_again_before_a_state_is_chosen",
)
def a_takeover_does_not_ask_again_where_an_address_led_elsewhere(self: Takeover) -> None:
    self._survey.elsewhere = set()
    check_all(self)


# Which state it takes

candidates = Takeover._candidates


@planted(holds_more, SIMULATOR)
def a_takeover_takes_the_state_that_holds_least(mine: State, theirs: State) -> bool:
    return holds_more(theirs, mine)


@planted(Takeover._candidates, "test_takeover.py::test_the_best_state_is_kept_or_fetched")
def a_takeover_ignores_its_own_state(self: Takeover) -> dict[str, State]:
    found = candidates(self)
    others = {name: state for name, state in found.items() if name != SELF}
    return others or found
