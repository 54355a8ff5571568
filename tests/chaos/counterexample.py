"""The fewest operations that show why a history is not linearizable.

Whatever is left out here could only have made the history harder to explain, so what remains is not
linearizable either, and for no other reason than the whole.
"""

import time
from bisect import bisect_left
from collections.abc import Collection, Sequence

from msgspec.structs import replace

from tests.chaos.history import Operation
from tests.chaos.linearizability import Verdict, check


def find_counterexample(operations: Sequence[Operation], deadline_s: float) -> list[Operation]:
    """Make a history that is not linearizable as small as the time allows.

    :param operations: one key's history, not linearizable.
    :param deadline_s: when the smallest history so far is returned, on the monotonic clock.
    :return: in the order of starts; the operation that ends last is the first that cannot be
        explained. One that had not ended then is open in it.
    """
    # Every prefix of a linearizable history is linearizable: the first that is not can be bisected.
    ends = sorted({op.end_ns for op in operations if not op.is_open})
    first = bisect_left(
        ends[:-1], 1, key=lambda end_ns: int(_is_wrong(until(operations, end_ns), deadline_s))
    )
    smallest = until(operations, ends[first])
    while (smaller := _leave_out(smallest, deadline_s)) != smallest:
        smallest = smaller
    return sorted(smallest, key=lambda op: op.start_ns)


def until(operations: Sequence[Operation], time_ns: int) -> list[Operation]:
    """What was known at a point in time: a write that had not ended was still open."""
    known = []
    for op in operations:
        if not op.is_open and op.end_ns <= time_ns:
            known.append(op)
        elif op.start_ns <= time_ns and op.is_write:
            known.append(replace(op, outcome="open"))
    return known


def _is_wrong(operations: list[Operation], deadline_s: float) -> bool:
    return check(operations, deadline_s) is Verdict.NOT_LINEARIZABLE


def _leave_out(operations: list[Operation], deadline_s: float) -> list[Operation]:
    """Leave out groups, many at a time at first, as long as the rest cannot be explained."""
    size = max(1, len(operations) // 2)
    while True:
        groups = _groups(operations)
        for start in range(0, len(groups), size):
            chosen = set().union(*groups[start : start + size])
            rest = without(operations, chosen)
            if len(rest) < len(operations) and _is_wrong(rest, deadline_s):
                operations = rest
        if size == 1 or time.monotonic() > deadline_s:
            return operations
        size //= 2


def _groups(operations: Sequence[Operation]) -> list[set[int]]:
    """What may be left out together: a put with all who read its value; others alone."""
    puts = {op.value: {op.id} for op in operations if op.kind == "put"}
    for op in operations:
        if op.kind == "read" and op.value in puts:
            puts[op.value].add(op.id)
    return [*puts.values(), *({op.id} for op in operations if op.kind != "put")]


def without(operations: Sequence[Operation], chosen: Collection[int]) -> list[Operation]:
    """The history without some operations; those that depend on them ask for less, or stay."""
    gone = {op.value for op in operations if op.id in chosen and op.kind == "put"}
    kept = [
        replace(op, precondition=None) if op.precondition and op.precondition.value in gone else op
        for op in operations
        if op.id not in chosen or op.kind == "delete"
    ]
    return [op for op in kept if op.id not in chosen or _may_be_seen(op, kept)]


def _may_be_seen(delete: Operation, others: Sequence[Operation]) -> bool:
    """Whether it may explain that somebody saw the key absent."""
    return any(
        (op.is_open or op.end_ns >= delete.start_ns)
        and op.observes is not None
        and op.observes.value is None
        for op in others
    )
