"""Linearizability by the definition, for short histories: no pruning, no cleverness."""

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, combinations, permutations

from tests.chaos.operations import Operation, Value


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """Try every order of the completed calls and of any of the open ones (up to about 7 calls)."""
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


def is_linearizable_step_by_step(operations: Sequence[Operation]) -> bool:
    """Place one call after the other in every way there is (up to about 14 calls)."""

    @cache
    def can_go_on(left: frozenset[Operation], held: Value) -> bool:
        completed = [op for op in left if not op.is_open]
        if not completed:
            return True
        return any(
            can_go_on(left - {op}, held if op.kind == "read" else op.value)
            for op in left
            if not any(_ended_before(other, op) for other in completed)
            and _explains_answers([op], held)
        )

    return can_go_on(frozenset(operations), None)


def _keeps_real_time(order: Sequence[Operation]) -> bool:
    return not any(_ended_before(later, earlier) for earlier, later in combinations(order, 2))


def _ended_before(op: Operation, other: Operation) -> bool:
    return op.end_ns is not None and op.end_ns < other.start_ns


def _explains_answers(order: Sequence[Operation], held: Value = None) -> bool:
    for op in order:
        if op.observes is not None and op.observes.value != held:
            return False
        if op.kind != "read":
            held = op.value
    return True
