"""Is the history of one key linearizable?

A history is linearizable when every call can be given one instant between its start and its end at
which it takes effect, such that all answers are those of one register (Herlihy and Wing 1990). It
is for each key by itself, so keys are judged one by one.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import Enum

from tests.chaos.linearization_search import LinearizationSearch, OutOfBudget
from tests.chaos.operations import Operation

_STEPS_PER_LOOK_AT_CLOCK = 128


class Verdict(Enum):
    """What is known of a history."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"  # the budget did not suffice


@dataclass(slots=True)
class Budget:
    """How much all searches that share it may take together.

    :param steps: calls that may be placed.
    :param seconds: of time, from now on.
    """

    steps: int = 10_000_000
    seconds: float = 60.0
    _deadline_s: float = field(init=False)

    def __post_init__(self) -> None:
        self._deadline_s = time.monotonic() + self.seconds

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self.steps <= 0 or time.monotonic() > self._deadline_s

    def spend(self) -> None:
        """Take one step.

        :raises OutOfBudget: nothing is left.
        """
        if self.steps % _STEPS_PER_LOOK_AT_CLOCK == 0 and self.is_spent:
            raise OutOfBudget
        self.steps -= 1


def check(operations: Iterable[Operation], budget: Budget | None = None) -> Verdict:
    """Search for an order that explains all answers.

    :param operations: all calls on one key, in any order; the values of puts are unique, not empty.
    :param budget: is spent by the search; ``None`` = the default.
    :raises ValueError: the values are not like that, or a read is open.
    """
    operations = list(operations)
    _check_form(operations)
    if _reads_from_nowhere(operations):
        return Verdict.NOT_LINEARIZABLE
    search = LinearizationSearch(_with_an_effect(operations))
    try:
        found = search.run((budget or Budget()).spend)
    except OutOfBudget:
        return Verdict.UNDECIDED
    return Verdict.LINEARIZABLE if found else Verdict.NOT_LINEARIZABLE


def _check_form(operations: Sequence[Operation]) -> None:
    written = Counter(op.value for op in operations if op.kind == "put")
    wrong = [value for value, count in written.items() if count > 1 or not value]
    if wrong:
        raise ValueError(f"values must be unique, and not empty: {wrong}")
    if any(op.kind == "read" and op.is_open for op in operations):
        raise ValueError("a read without an answer says nothing and must be left out")


def _reads_from_nowhere(operations: Sequence[Operation]) -> bool:
    starts = {op.value: op.start_ns for op in operations if op.kind == "put"}
    return any(
        op.value is not None and (op.value not in starts or starts[op.value] > op.end_ns)
        for op in operations
        if op.kind == "read" and op.end_ns is not None
    )


def _with_an_effect(operations: Sequence[Operation]) -> list[Operation]:
    """Leave out open puts that nobody has seen: if they took effect, nothing would be different.

    Between such a put and the next write nothing was read, and no conditional write needed its
    value, so the same order without it explains the same answers.
    """
    kept = list(operations)
    while True:
        seen = {observed.value for op in kept if (observed := op.observes) is not None}
        count = len(kept)
        kept = [op for op in kept if not (op.kind == "put" and op.is_open) or op.value in seen]
        if len(kept) == count:
            return kept
