"""What is left of a history that is not linearizable: the calls that show it, and no others."""

from dataclasses import replace

import pytest

from tests.chaos.linearizability import Budget
from tests.chaos.operations import Condition, Operation
from tests.chaos.witness import find_witness, until, without
from tests.unit.chaos.shorthand import delete, put, read

STALE = [put("a", 100, 101), put("b", 102, 103), read("a", 104, 105)]
LOST = [put("a", 100, 101), read(None, 102, 103)]
BEFORE = [put("x", 0, 1), read("x", 2, 3), delete(4, 5), put("y", 6, 7, Condition(None))]
BEFORE += [delete(8, 9), put("z", 10, 11), delete(12, 13), delete(14, 15), read(None, 16, 17)]
MEANWHILE = [put("m", 90, None), delete(91, 106), put("n", 99, 108), read("n", 106, 107)]
AFTER = [put("p", 110, 111), read("p", 112, 113), put("q", 114, 115), read("p", 116, 117)]


@pytest.mark.parametrize("core", [STALE, LOST], ids=["a stale read", "a lost write"])
def test_only_the_core_is_left(core: list[Operation]) -> None:
    assert find_witness([*BEFORE, *core, *AFTER], Budget()) == core


def test_a_call_that_could_explain_it_stays_if_it_comes_too_late() -> None:
    witness = find_witness([*BEFORE, *STALE, *MEANWHILE, *AFTER], Budget())
    assert witness[-1].value == "a"
    assert len(witness) == len(STALE)


def test_a_spent_budget_leaves_more() -> None:
    history = [*BEFORE, *STALE, *AFTER]
    assert len(find_witness(history, Budget(seconds=0))) > len(STALE)


def test_what_was_known_at_a_time() -> None:
    first, second, third = put("a", 0, 10), read("a", 5, 15), delete(20, None)
    assert until([first, second, third], 9) == [replace(first, end_ns=None)]
    assert until([first, second, third], 15) == [first, second]
    assert until([first, second, third], 20) == [first, second, third]


A_PUT = put("a", 0, 1)
A_DELETE = delete(10, 20)

KEPT = {
    "somebody saw the key absent": [A_PUT, A_DELETE, read(None, 30, 31)],
    "somebody may have seen the key absent before it ended": [A_PUT, A_DELETE, read(None, 11, 12)],
    "a write needed the key absent": [A_PUT, A_DELETE, put("b", 30, 31, Condition(None))],
    "a write may yet find the key absent": [A_PUT, A_DELETE, put("b", 5, None, Condition(None))],
    "another delete followed, but after a read": [
        A_PUT,
        A_DELETE,
        read(None, 25, 26),
        delete(30, 31),
        read(None, 40, 41),
    ],
    "another delete followed, but after a put": [
        A_PUT,
        A_DELETE,
        put("b", 15, 35),
        delete(30, 40),
        read(None, 25, 26),
    ],
}
LEFT_OUT = {
    "nobody saw the key absent": [A_PUT, A_DELETE, put("b", 30, 31)],
    "nobody saw the key absent later": [read(None, 0, 1), put("a", 2, 3), A_DELETE],
    "there was nothing to delete": [A_DELETE, put("a", 30, 31), read(None, 40, 41)],
    "another delete followed at once": [A_PUT, A_DELETE, delete(30, 31), read(None, 40, 41)],
}


@pytest.mark.parametrize("history", KEPT.values(), ids=KEPT)
def test_a_delete_that_matters_stays(history: list[Operation]) -> None:
    assert without(history, {A_DELETE.id}) == history


@pytest.mark.parametrize("history", LEFT_OUT.values(), ids=LEFT_OUT)
def test_a_delete_that_does_not_matter_goes(history: list[Operation]) -> None:
    assert without(history, {A_DELETE.id}) == [op for op in history if op is not A_DELETE]


def test_a_condition_goes_with_the_value_that_it_names() -> None:
    first, second = put("a", 0, 1), put("b", 2, 3, Condition("a"))
    (left,) = without([first, second], {first.id})
    assert left.condition is None
