"""Linearizability by the definition, for a handful of calls: every order of every choice."""

from collections.abc import Iterator, Sequence
from itertools import chain, combinations, permutations

from tests.chaos.operations import Operation, Value


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Try every order of the completed calls and of any of the open ones."""
    completed = [op for op in operations if not op.is_open]
    open_ = [op for op in operations if op.is_open]
    choices: Iterator[tuple[Operation, ...]] = chain.from_iterable(
        combinations(open_, count) for count in range(len(open_) + 1)
    )
    return any(
        _keeps_real_time(order) and _explains_answers(order)
        for chosen in choices
        for order in permutations([*completed, *chosen])
    )


def _keeps_real_time(order: Sequence[Operation]) -> bool:
    return not any(
        later.end_ns is not None and later.end_ns < earlier.start_ns
        for earlier, later in combinations(order, 2)
    )


def _explains_answers(order: Sequence[Operation]) -> bool:
    held: Value = None
    for op in order:
        if op.kind == "read":
            if op.value != held:
                return False
            continue
        if op.condition is not None and op.condition.value != held:
            return False
        held = op.value
    return True
