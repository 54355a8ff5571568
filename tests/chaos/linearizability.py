"""Is the history of one key linearizable?

A history is linearizable when every operation can be given one instant between its start and its
end at which it takes effect, such that all answers are those of one register (Herlihy and Wing
1990). It is for each key by itself, so keys are judged one by one.

The search is that of Wing and Gong (1993): place, one after the other, operations that no unplaced
one had ended before, and go back where nothing fits. With the memory of Lowe (2017) no situation is
gone into twice. Values are unique: one that was overwritten never comes back. That makes most steps
the only sensible one:

- A read that fits is placed at once: it changes nothing.
- A value may be overwritten only when everybody who saw it has been placed.
- A value that nobody will see any more is as good as any other such value.
- An open write is placed only just before an operation that sees it: else it may come later too.
- Of several open deletes the earliest can do whatever a later one can, and fewer are better.

Python has no library for this: Porcupine is written in Go, Knossos in Clojure. They know neither
the last three rules, without which histories with many open writes take too long.
"""

import math
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from enum import Enum
from typing import NamedTuple

from tests.chaos.history import Operation, Value

_UNSEEN = ""
"""Stands for every value that nobody will see any more; no client writes an empty value."""


class Verdict(Enum):
    """What is known of a history."""

    LINEARIZABLE = "linearizable"
    NOT_LINEARIZABLE = "not linearizable"
    UNDECIDED = "undecided"  # the time did not suffice


def check(operations: Iterable[Operation], deadline_s: float = math.inf) -> Verdict:
    """Search for an order that explains all answers.

    :param operations: those on one key, in any order, without reads that got no answer; the values
        of puts are unique and not empty.
    :param deadline_s: when the search is given up, on the monotonic clock.
    """
    search = _Search(operations)
    fewest_deletes: dict[tuple[int, Value], int] = {}
    branches: list[Iterator[_Situation]] = [iter([_Situation()])]
    while branches:
        if time.monotonic() > deadline_s:
            return Verdict.UNDECIDED
        situation = next(branches[-1], None)
        if situation is None:
            branches.pop()
        elif search.explains_all(situation):
            return Verdict.LINEARIZABLE
        elif situation.deletes < fewest_deletes.get(situation[:2], math.inf):
            fewest_deletes[situation[:2]] = situation.deletes
            branches.append(search.next_situations(situation))
    return Verdict.NOT_LINEARIZABLE


class _Situation(NamedTuple):
    """The operations placed so far, and what the register holds then.

    :param placed: bit i: operation i, in the order of their starts.
    :param deletes: how many unconditional open deletes are placed: always the earliest.
    """

    placed: int = 0
    value: Value = None
    deletes: int = 0


class _Search:
    """What may follow on a situation."""

    def __init__(self, operations: Iterable[Operation]) -> None:
        ordered = sorted(_with_an_effect(list(operations)), key=lambda op: op.start_ns)
        self._open_deletes = [op for op in ordered if _is_open_delete(op)]
        self._operations = [op for op in ordered if not _is_open_delete(op)]
        self._completed = 0
        self._observers: dict[Value, int] = defaultdict(int)
        """For each value who saw it; bit i: operation i."""
        for number, op in enumerate(self._operations):
            if not op.is_open:
                self._completed |= 1 << number
            if op.observes is not None:
                self._observers[op.observes.value] |= 1 << number

    def explains_all(self, situation: _Situation) -> bool:
        """Whether every completed operation is placed; open ones need not be."""
        return self._completed & ~situation.placed == 0

    def next_situations(self, now: _Situation) -> Iterator[_Situation]:
        """Place one more operation, in every way that is worth trying."""
        completed, open_, first_end_ns = self._candidates(now)
        for number in completed:
            if self._changes_nothing(self._operations[number], now):
                yield self._place(number, now)
                return
        candidates = [self._operations[number] for number in completed + open_]
        wanted = {seen.value for op in candidates if (seen := op.observes) is not None}
        open_ = [number for number in open_ if self._operations[number].value in wanted]
        for number in completed + open_:
            op = self._operations[number]
            if op.is_write and self._fits(op, now, but_for=1 << number):
                yield self._place(number, now)
        for op in self._open_deletes[now.deletes : now.deletes + 1]:
            if op.start_ns <= first_end_ns and None in wanted and self._fits(op, now):
                yield self._holding(None, now._replace(deletes=now.deletes + 1))

    def _candidates(self, now: _Situation) -> tuple[list[int], list[int], float]:
        """The completed and the open operations that no unplaced one had ended before, and the
        first end.
        """
        completed: list[int] = []
        open_: list[int] = []
        first_end_ns = math.inf
        left = ((1 << len(self._operations)) - 1) & ~now.placed
        while left:
            number = (left & -left).bit_length() - 1
            op = self._operations[number]
            # Operations that touch are taken for concurrent.
            if op.start_ns > first_end_ns:
                break
            if op.is_open:
                open_.append(number)
            else:
                completed.append(number)
                first_end_ns = min(first_end_ns, op.end_ns)
            left &= left - 1
        return completed, open_, first_end_ns

    def _changes_nothing(self, op: Operation, now: _Situation) -> bool:
        if op.kind == "read":
            return op.value == now.value
        is_unseen = now.value == _UNSEEN and not self._observers[op.value] & ~now.placed
        return is_unseen and op.observes is None

    def _fits(self, write: Operation, now: _Situation, but_for: int = 0) -> bool:
        """Whether a write may be placed: its condition holds, and nobody else needs the value."""
        if write.observes is not None and write.observes.value != now.value:
            return False
        waiting = self._observers[now.value] & self._completed & ~now.placed & ~but_for
        return now.value is None or waiting == 0

    def _place(self, number: int, now: _Situation) -> _Situation:
        op = self._operations[number]
        value = now.value if op.kind == "read" else op.value
        return self._holding(value, now._replace(placed=now.placed | 1 << number))

    def _holding(self, value: Value, then: _Situation) -> _Situation:
        will_be_seen = self._observers[value] & ~then.placed
        return then._replace(value=value if will_be_seen else _UNSEEN)


def _is_open_delete(op: Operation) -> bool:
    """Whether it is one of those that are interchangeable."""
    return op.is_open and op.kind == "delete" and op.precondition is None


def _with_an_effect(operations: list[Operation]) -> list[Operation]:
    """Leave out open puts that nobody has seen: if they took effect, nothing would be different."""
    seen = {observed.value for op in operations if (observed := op.observes) is not None}
    kept = [op for op in operations if not (op.is_open and op.kind == "put") or op.value in seen]
    return kept if len(kept) == len(operations) else _with_an_effect(kept)
