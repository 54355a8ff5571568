"""The search for an order of calls that explains all answers of one register.

It is that of Wing and Gong (1993): place, one after the other, calls that no unplaced call had
ended before, and go back where nothing fits. With the memory of Lowe (2017) no situation (the calls
placed so far and what the register holds) is gone into twice. Values are unique: one that was
overwritten never comes back. That makes most steps the only sensible one:

- A read that fits is placed at once: it changes nothing.
- A value may be overwritten only when everybody who saw it has been placed.
- A value that nobody will see any more is as good as any other such value.
- An open write is placed only just before a call that sees it: else it may as well come later.
- Of several open deletes the earliest can do whatever a later one can, and fewer are better.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.operations import Operation, Value

_UNSEEN = ""
"""Stands for every value that nobody will see any more; no client writes an empty value."""


class OutOfBudget(Exception):
    """The search may not go on."""


@dataclass(frozen=True, slots=True)
class _Placed:
    """A call that was placed, what was true before, and what else may be tried in its stead."""

    number: int
    value: Value
    others: Iterator[int]


class LinearizationSearch:
    """Depth first, without recursion.

    :param operations: all calls on one key; the values of puts are unique and not empty.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._operations = sorted(operations, key=lambda op: op.start_ns)
        numbers = range(len(operations))
        self._observed = [op.observes for op in self._operations]
        self._unplaced = EventRing(self._operations)
        self._completed_left = sum(not op.is_open for op in operations)
        self._value: Value = None
        # Who has yet to see a value: all calls, and those that must be placed.
        self._observers = Counter(seen.value for seen in self._observed if seen is not None)
        self._completed_observers = Counter(
            seen.value
            for number in numbers
            if (seen := self._observed[number]) is not None and not self._operations[number].is_open
        )
        self._open_deletes = [n for n in numbers if self._is_open_delete(self._operations[n])]
        self._open_deletes_placed = 0
        self._mask = WindowedSet()
        self._seen: dict[tuple[int, int, Value], int] = {}

    def run(self, spend: Callable[[], None]) -> bool:
        """Search until an order is found or none is left.

        :param spend: called at every step; what it raises ends the search.
        :return: whether there is an order.
        """
        placed: list[_Placed] = []
        choices = self._choices()
        while self._completed_left > 0:
            spend()
            number = next(choices, None)
            if number is None:
                if not placed:
                    return False
                step = placed.pop()
                self._undo(step)
                choices = step.others
                continue
            step = _Placed(number, self._value, choices)
            self._place(number)
            if self._is_new():
                placed.append(step)
                choices = self._choices()
            else:
                self._undo(step)
        return True

    # What may be placed next

    def _choices(self) -> Iterator[int]:
        candidates = self._unplaced.before_first_end()
        unseen = self._is_unseen(self._value)
        for number in candidates:
            if self._operations[number].kind == "read":
                if self._operations[number].value == self._value:
                    return iter((number,))
            elif unseen and self._changes_nothing(number):
                return iter((number,))
        wanted = {seen.value for n in candidates if (seen := self._observed[n]) is not None}
        fitting = [number for number in candidates if self._fits(number)]
        completed = [number for number in fitting if not self._operations[number].is_open]
        just_in_time = [
            number
            for number in fitting
            if self._operations[number].is_open and self._operations[number].value in wanted
        ]
        return iter([*completed, *just_in_time])

    def _fits(self, number: int) -> bool:
        op, observed = self._operations[number], self._observed[number]
        if op.kind == "read" or (observed is not None and observed.value != self._value):
            return False
        if self._is_open_delete(op) and number != self._open_deletes[self._open_deletes_placed]:
            return False
        own = int(observed is not None and not op.is_open)
        return self._value is None or self._completed_observers[self._value] == own

    def _changes_nothing(self, number: int) -> bool:
        op = self._operations[number]
        unconditional = self._observed[number] is None and not op.is_open
        return unconditional and self._is_unseen(op.value)

    def _is_unseen(self, value: Value) -> bool:
        return self._observers[value] == 0

    def _is_new(self) -> bool:
        value = _UNSEEN if self._is_unseen(self._value) else self._value
        situation = (*self._mask.key, value)
        fewest = self._seen.get(situation)
        if fewest is not None and fewest <= self._open_deletes_placed:
            return False
        self._seen[situation] = self._open_deletes_placed
        return True

    # Placing

    def _place(self, number: int) -> None:
        self._unplaced.take_out(number)
        self._count(number, -1)
        op = self._operations[number]
        if not self._is_open_delete(op):
            self._mask.add(number)
        if op.kind != "read":
            self._value = op.value

    def _undo(self, step: _Placed) -> None:
        self._unplaced.put_back(step.number)
        self._count(step.number, +1)
        if not self._is_open_delete(self._operations[step.number]):
            self._mask.remove(step.number)
        self._value = step.value

    def _count(self, number: int, change: int) -> None:
        op, observed = self._operations[number], self._observed[number]
        if self._is_open_delete(op):
            self._open_deletes_placed -= change
        if not op.is_open:
            self._completed_left += change
        if observed is not None:
            self._observers[observed.value] += change
            if not op.is_open:
                self._completed_observers[observed.value] += change

    @staticmethod
    def _is_open_delete(op: Operation) -> bool:
        """Whether it is one of those that are interchangeable."""
        return op.is_open and op.kind == "delete" and op.condition is None


class WindowedSet:
    """A set of numbers most of which lie close together, with a short key."""

    def __init__(self) -> None:
        self._base = 0  # all numbers below are in the set
        self._window = 0  # bit i: whether base + i is

    @property
    def key(self) -> tuple[int, int]:
        """Equal for equal sets only."""
        return self._base, self._window

    def add(self, number: int) -> None:
        """Put a number in that is not."""
        self._window |= 1 << (number - self._base)
        while self._window & 1:
            self._window >>= 1
            self._base += 1

    def remove(self, number: int) -> None:
        """Take a number out that is in."""
        if number < self._base:
            below = self._base - number
            self._window = (self._window << below) | ((1 << below) - 1)
            self._base = number
        self._window &= ~(1 << (number - self._base))


class EventRing:
    """Starts and ends of the unplaced calls in the order of time: a ring of links with a head.

    :param operations: all calls; their places in the sequence are their numbers.
    """

    def __init__(self, operations: Sequence[Operation]) -> None:
        # At one instant starts come first: calls that touch are taken for concurrent.
        times = [(op.start_ns, 0, number) for number, op in enumerate(operations)]
        times += [
            (op.end_ns, 1, number) for number, op in enumerate(operations) if op.end_ns is not None
        ]
        times.sort()
        self._head = len(times)
        self._started = [None if end else number for _, end, number in times] + [None]
        self._events: list[list[int]] = [[] for _ in operations]
        for event, (_, _, number) in enumerate(times):
            self._events[number].append(event)
        self._next = [*range(1, self._head + 1), 0]
        self._previous = [self._head, *range(self._head)]

    def before_first_end(self) -> list[int]:
        """The calls that may be placed next: no unplaced call ended before they started."""
        numbers: list[int] = []
        event = self._next[self._head]
        while (number := self._started[event]) is not None:
            numbers.append(number)
            event = self._next[event]
        return numbers

    def take_out(self, number: int) -> None:
        """Take a call out."""
        for event in self._events[number]:
            before, behind = self._previous[event], self._next[event]
            self._next[before], self._previous[behind] = behind, before

    def put_back(self, number: int) -> None:
        """Put a call back; the last one taken out comes first."""
        for event in reversed(self._events[number]):
            self._next[self._previous[event]] = event
            self._previous[self._next[event]] = event
