"""The checker and the witness against the definition, on random small histories."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.chaos.linearizability import Budget, Verdict, check
from tests.chaos.operations import Condition, Kind, Operation, Value
from tests.chaos.witness import find_witness, until, without
from tests.unit.chaos.brute_force import is_linearizable

_LAST_TIME = 12
_KINDS: tuple[Kind, ...] = ("put", "delete", "read")


@st.composite
def _histories(draw: st.DrawFn, max_size: int) -> list[Operation]:
    kinds = draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=max_size))
    written = [f"v{number}" for number, kind in enumerate(kinds) if kind == "put"]
    held: st.SearchStrategy[Value] = st.sampled_from([None, *written])
    return [draw(_operations(number, kind, held)) for number, kind in enumerate(kinds)]


@st.composite
def _operations(
    draw: st.DrawFn, number: int, kind: Kind, held: st.SearchStrategy[Value]
) -> Operation:
    start = draw(st.integers(0, _LAST_TIME))
    end = draw(st.integers(start, _LAST_TIME + 1))
    if kind == "read":
        return Operation(id=number, kind=kind, value=draw(held), start_ns=start, end_ns=end)
    return Operation(
        id=number,
        kind=kind,
        value=f"v{number}" if kind == "put" else None,
        start_ns=start,
        end_ns=None if draw(st.booleans()) else end,
        condition=Condition(draw(held)) if draw(st.integers(0, 3)) == 0 else None,
    )


@settings(max_examples=600, deadline=None)
@given(_histories(max_size=6))
def test_the_checker_agrees_with_the_definition(history: list[Operation]) -> None:
    expected = is_linearizable(history)
    event("linearizable" if expected else "not linearizable")
    verdict = Verdict.LINEARIZABLE if expected else Verdict.NOT_LINEARIZABLE
    assert check(history) is verdict


@settings(max_examples=300, deadline=None)
@given(_histories(max_size=7))
def test_a_witness_is_a_part_of_the_history_and_wrong_by_itself(history: list[Operation]) -> None:
    if check(history) is Verdict.LINEARIZABLE:
        return
    witness = find_witness(history, Budget())
    assert not is_linearizable(witness)
    assert all(_is_part(op, history) for op in witness)


@settings(max_examples=600, deadline=None)
@given(st.data(), _histories(max_size=8))
def test_leaving_calls_out_makes_no_good_history_wrong(
    data: st.DataObject, history: list[Operation]
) -> None:
    if check(history) is not Verdict.LINEARIZABLE:
        return
    chosen = data.draw(st.sets(st.sampled_from([op.id for op in history])))
    values = {op.value for op in history if op.kind == "put" and op.id in chosen}
    chosen |= {op.id for op in history if op.kind == "read" and op.value in values}
    assert check(without(history, chosen)) is Verdict.LINEARIZABLE
    time_ns = data.draw(st.integers(0, _LAST_TIME))
    assert check(until(history, time_ns)) is Verdict.LINEARIZABLE


def _is_part(op: Operation, history: Sequence[Operation]) -> bool:
    """Whether it is one of the calls, or asks for less than it."""
    (original,) = [other for other in history if other.id == op.id]
    weakened = replace(original, end_ns=op.end_ns, condition=op.condition)
    return (
        op == weakened
        and op.end_ns in (None, original.end_ns)
        and op.condition in (None, original.condition)
    )
