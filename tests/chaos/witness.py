"""The fewest calls that show why a history is not linearizable.

Whatever is left out here could only have made the history harder to explain, so what remains is not
linearizable either, and for no other reason than the whole.
"""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace

from tests.chaos.linearizability import Budget, Verdict, check
from tests.chaos.operations import Operation, Value


def find_witness(operations: Sequence[Operation], budget: Budget) -> list[Operation]:
    """Make a history that is not linearizable as small as the budget allows.

    :param operations: one key's history, not linearizable.
    :param budget: bounds the search; when it is spent the smallest history so far is returned.
    :return: in the order of starts; the call that ends last is the first that cannot be explained.
        A call that had not ended then is open in it.
    """
    smallest = _shortest_prefix(operations, budget)
    count = len(smallest) + 1
    while len(smallest) < count:
        count = len(smallest)
        smallest = _leave_out(smallest, budget)
    return sorted(smallest, key=lambda op: op.start_ns)


def until(operations: Sequence[Operation], time_ns: int) -> list[Operation]:
    """What was known at a point in time: a write that had not ended was still open."""
    known = []
    for op in operations:
        if op.end_ns is not None and op.end_ns <= time_ns:
            known.append(op)
        elif op.start_ns <= time_ns and op.kind != "read":
            known.append(replace(op, end_ns=None))
    return known


def _shortest_prefix(operations: Sequence[Operation], budget: Budget) -> list[Operation]:
    # Every prefix of a linearizable history is linearizable, so the first bad one can be bisected.
    ends = sorted({op.end_ns for op in operations if op.end_ns is not None})
    good, bad = -1, len(ends) - 1
    while bad - good > 1:
        middle = (good + bad) // 2
        verdict = check(until(operations, ends[middle]), budget)
        if verdict is Verdict.NOT_LINEARIZABLE:
            bad = middle
        else:
            good = middle
    return until(operations, ends[bad])


def _leave_out(operations: list[Operation], budget: Budget) -> list[Operation]:
    """Leave out groups of calls, many at a time at first, as long as the rest is not explained."""
    size = max(1, len(_groups(operations)) // 2)
    while True:
        groups = _groups(operations)
        for start in range(0, len(groups), size):
            chosen = {number for group in groups[start : start + size] for number in group}
            rest = without(operations, chosen)
            if len(rest) < len(operations) and _is_still_wrong(rest, budget):
                operations = rest
        if size == 1 or budget.is_spent:
            return operations
        size //= 2


def _is_still_wrong(operations: list[Operation], budget: Budget) -> bool:
    return not budget.is_spent and check(operations, budget) is Verdict.NOT_LINEARIZABLE


def _groups(operations: Sequence[Operation]) -> list[set[int]]:
    """What may be left out together: a put with all who saw its value; any other call alone."""
    readers: dict[Value, set[int]] = defaultdict(set)
    for op in operations:
        if op.kind == "read":
            readers[op.value].add(op.id)
    puts = [{op.id, *readers[op.value]} for op in operations if op.kind == "put"]
    return [*puts, *({op.id} for op in operations if op.kind != "put")]


def without(operations: list[Operation], chosen: Collection[int]) -> list[Operation]:
    """The history without some calls; those that depend on them ask for less, or stay."""
    gone = {op.value for op in operations if op.id in chosen and op.kind == "put"}
    kept = [
        replace(op, condition=None) if op.condition and op.condition.value in gone else op
        for op in operations
        if op.id not in chosen or op.kind == "delete"
    ]
    for delete in [op for op in kept if op.id in chosen]:
        others = [op for op in kept if op is not delete]
        if _is_idle(delete, others):
            kept = others
    return kept


def _is_idle(delete: Operation, others: Sequence[Operation]) -> bool:
    """Whether a history stays as hard to explain without one of its deletes.

    So it does when nobody can have seen the delete, when there was nothing to delete yet, and when
    another one followed before anything was put or looked at.
    """
    if not _may_be_seen(delete, others):
        return True
    if delete.end_ns is None:
        return False
    puts = [op for op in others if op.kind == "put"]
    if all(op.start_ns > delete.end_ns for op in puts):
        return True
    return any(
        not _may_be_seen(delete, [op for op in others if op is not next_], next_.end_ns)
        and all(_ended_before(op, delete) or op.start_ns > next_.end_ns for op in puts)
        for next_ in others
        if next_.kind == "delete" and next_.condition is None
        if next_.end_ns is not None and next_.start_ns > delete.end_ns
    )


def _may_be_seen(
    delete: Operation, others: Sequence[Operation], until_ns: int | None = None
) -> bool:
    """Whether somebody saw the key absent after the delete may have begun.

    :param until_ns: leave out who began after this; ``None`` = nobody.
    """
    return any(
        op.observes is not None
        and op.observes.value is None
        and (op.end_ns is None or op.end_ns >= delete.start_ns)
        and (until_ns is None or op.start_ns <= until_ns)
        for op in others
    )


def _ended_before(op: Operation, other: Operation) -> bool:
    return op.end_ns is not None and op.end_ns < other.start_ns
