"""The checker on hand-made histories, linearizable and not."""

import random

import pytest

from tests.chaos.linearizability import Budget, Verdict, check
from tests.chaos.linearization_search import WindowedSet
from tests.chaos.operations import Condition, Operation
from tests.unit.chaos.shorthand import delete, put, read

LINEARIZABLE = {
    "nothing happened": [],
    "one after the other": [put("a", 0, 1), read("a", 2, 3), delete(4, 5), read(None, 6, 7)],
    "a read during a write sees the old value": [put("a", 0, 1), put("b", 2, 9), read("a", 3, 4)],
    "a read during a write sees the new value": [put("a", 0, 1), put("b", 2, 9), read("b", 3, 4)],
    "two concurrent writes, read in either order": [
        put("a", 0, 9),
        put("b", 0, 9),
        read("b", 1, 2),
        read("a", 3, 4),
    ],
    "an open write takes effect late": [
        put("a", 0, 1),
        put("b", 2, None),
        read("a", 3, 4),
        put("c", 5, 6),
        read("c", 7, 8),
        read("b", 9, 10),
    ],
    "an open write never takes effect": [put("a", 0, 1), put("b", 2, None), read("a", 3, 4)],
    "an open write took effect before a confirmed one": [
        put("a", 0, None),
        read("a", 1, 2),
        put("b", 3, 4),
        read("b", 5, 6),
    ],
    "an open delete takes effect late": [
        put("a", 0, 1),
        delete(2, None),
        read("a", 3, 4),
        read(None, 5, 6),
    ],
    "each open delete explains one absence": [
        delete(0, None),
        delete(1, None),
        put("a", 2, 3),
        read(None, 4, 5),
        put("b", 6, 7),
        read(None, 8, 9),
    ],
    "an open delete that began later is kept for later": [
        delete(0, None),
        put("a", 1, 2),
        read(None, 3, 4),
        put("b", 5, 6),
        delete(7, None),
        read(None, 8, 9),
    ],
    "the one open delete must not be used where a write may find the key absent anyway": [
        put("a", 0, 20),
        delete(5, None),
        put("b", 19, 32, Condition(None)),
        put("c", 28, 38),
        read(None, 35, 47),
        put("d", 44, 63),
    ],
    "the one open delete must not be used where a read may come first": [
        read("a", 0, 42),
        read(None, 5, 9),
        put("a", 7, None, Condition(None)),
        read("b", 12, 73),
        delete(18, None),
        read(None, 21, 96),
        put("b", 24, 37),
        read(None, 55, 94),
    ],
    "calls that touch are concurrent": [put("a", 0, 1), put("b", 1, 2), read("a", 2, 3)],
    "a conditional write after what it saw": [
        put("a", 0, 1),
        put("b", 2, 3, Condition("a")),
        read("b", 4, 5),
    ],
    "a conditional write after an open one": [put("a", 0, None), put("b", 1, 2, Condition("a"))],
    "a chain of open conditional writes": [
        put("a", 0, None),
        put("b", 1, None, Condition("a")),
        put("c", 2, None, Condition("b")),
        read("c", 3, 4),
    ],
    "a key made where there was none": [
        put("a", 0, 1, Condition(None)),
        delete(2, 3),
        put("b", 4, 5, Condition(None)),
    ],
}

NOT_LINEARIZABLE = {
    "a stale read": [put("a", 0, 1), put("b", 2, 3), read("a", 4, 5)],
    "a lost write": [put("a", 0, 1), read(None, 2, 3)],
    "a lost update": [
        put("a", 0, 1),
        put("b", 2, 5, Condition("a")),
        put("c", 3, 6, Condition("a")),
    ],
    "a read of a value never written": [put("a", 0, 1), read("x", 2, 3)],
    "a read before its write": [read("a", 0, 1), put("a", 2, 3)],
    "a resurrected delete": [put("a", 0, 1), delete(2, 3), read("a", 4, 5)],
    "a value that comes back": [
        put("a", 0, 1),
        put("b", 0, 9),
        read("a", 2, 3),
        read("b", 4, 5),
        read("a", 6, 7),
    ],
    "an open write seen, and gone again": [
        put("a", 0, 1),
        put("b", 2, None),
        read("b", 3, 4),
        read("a", 5, 6),
    ],
    "two reads that order two open writes in opposite ways": [
        put("a", 0, None),
        put("b", 0, None),
        read("a", 1, 2),
        read("b", 3, 4),
        read("a", 5, 6),
    ],
    "a read before an open write began": [read("a", 0, 1), put("a", 2, None)],
    "an open delete explains one absence only": [
        put("a", 0, 1),
        delete(2, None),
        read(None, 3, 4),
        put("b", 5, 6),
        read(None, 7, 8),
    ],
    "an open delete that began too late": [
        put("a", 0, 1),
        read(None, 2, 3),
        delete(4, None),
    ],
    "two reads at one time disagree with a third": [
        put("a", 0, 9),
        put("b", 0, 9),
        read("a", 10, 11),
        read("b", 10, 11),
    ],
    "a conditional write after a value that was overwritten": [
        put("a", 0, 1),
        put("b", 2, 3),
        put("c", 4, 5, Condition("a")),
    ],
    "a conditional delete of a value that was overwritten": [
        put("a", 0, 1),
        put("b", 2, 3),
        delete(4, 5, Condition("a")),
    ],
    "a key made where there was one": [put("a", 0, 1), put("b", 2, 3, Condition(None))],
    "an open conditional write seen where its condition never held": [
        put("a", 0, 1),
        put("b", 2, 3),
        put("c", 4, None, Condition("a")),
        read("c", 5, 6),
    ],
}


@pytest.mark.parametrize("history", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_accepts(history: list[Operation]) -> None:
    assert check(history) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("history", NOT_LINEARIZABLE.values(), ids=NOT_LINEARIZABLE)
def test_refuses(history: list[Operation]) -> None:
    assert check(history) is Verdict.NOT_LINEARIZABLE


def test_a_spent_budget_is_no_verdict() -> None:
    history = [put(f"v{number}", 0, 100) for number in range(20)]
    history += [read(f"v{number}", 0, 100) for number in range(20)]
    history += [read("v0", 101, 102), read("v1", 101, 102)]
    assert check(history, Budget(steps=100)) is Verdict.UNDECIDED
    assert check(history, Budget(seconds=0)) is Verdict.UNDECIDED


def test_a_long_history_needs_no_recursion() -> None:
    history = []
    for number in range(5000):
        history.append(put(f"v{number}", 10 * number, 10 * number + 15))
        history.append(read(f"v{number}", 10 * number + 3, 10 * number + 4))
    assert check(history) is Verdict.LINEARIZABLE
    history.append(read("v4000", 50_100, 50_101))
    assert check(history) is Verdict.NOT_LINEARIZABLE


@pytest.mark.parametrize(
    "history",
    [
        [put("a", 0, 1), put("a", 2, 3)],
        [put("", 0, 1)],
        [Operation(id=0, kind="put", value=None, start_ns=0, end_ns=1)],
        [Operation(id=0, kind="read", value="a", start_ns=0, end_ns=None)],
    ],
    ids=["a value twice", "an empty value", "a put of nothing", "an open read"],
)
def test_a_malformed_history_is_no_verdict(history: list[Operation]) -> None:
    with pytest.raises(ValueError, match="must be"):
        check(history)


def test_the_set_of_placed_calls_has_equal_keys_for_equal_sets_only() -> None:
    chance = random.Random(1)
    numbers, windowed = set[int](), WindowedSet()
    keys: dict[frozenset[int], tuple[int, int]] = {}
    for _ in range(3000):
        number = chance.randrange(9)
        if number in numbers:
            numbers.remove(number)
            windowed.remove(number)
        else:
            numbers.add(number)
            windowed.add(number)
        assert keys.setdefault(frozenset(numbers), windowed.key) == windowed.key
    assert len(set(keys.values())) == len(keys) > 400
