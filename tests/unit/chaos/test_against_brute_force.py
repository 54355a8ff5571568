"""The checker and the witness against the definition, on random short histories."""

import random
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.chaos.linearizability import Budget, Verdict, check
from tests.chaos.operations import Condition, Kind, Operation, Value
from tests.chaos.witness import find_witness, until, without
from tests.unit.chaos.brute_force import is_linearizable, is_linearizable_step_by_step

_KINDS: tuple[Kind, ...] = ("put", "delete", "read")
_SEEDS = st.integers(0, 2**32)


@st.composite
def _any_histories(draw: st.DrawFn, max_size: int) -> list[Operation]:
    """Times and answers that have nothing to do with each other."""
    kinds = draw(st.lists(st.sampled_from(_KINDS), min_size=1, max_size=max_size))
    written = [f"v{number}" for number, kind in enumerate(kinds) if kind == "put"]
    held: st.SearchStrategy[Value] = st.sampled_from([None, *written])
    return [draw(_operations(number, kind, held)) for number, kind in enumerate(kinds)]


@st.composite
def _operations(
    draw: st.DrawFn, number: int, kind: Kind, held: st.SearchStrategy[Value]
) -> Operation:
    start = draw(st.integers(0, 12))
    end = draw(st.integers(start, 13))
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


def _likely_history(seed: int, size: int) -> list[Operation]:
    """Calls that took effect one after the other, at some time between their ends; or nearly so."""
    chance = random.Random(seed)
    spread = chance.choice((10, 20, 40))
    held: Value = None
    seen: list[Value] = [None]
    history = []
    for number in range(size):
        at = 10 * number
        start, end = at - chance.randint(0, spread), at + chance.randint(0, spread)
        (kind,) = chance.choices(_KINDS, weights=(4, 2, 5))
        value = {"put": f"v{number}", "delete": None, "read": held}[kind]
        condition = Condition(held) if kind != "read" and chance.random() < 0.2 else None
        is_open = kind != "read" and chance.random() < 0.3
        takes_effect = not is_open or chance.random() < 0.6
        if kind == "read" and chance.random() < 0.3:
            value = chance.choice(seen)
        history.append(
            Operation(
                id=number,
                kind=kind,
                value=value,
                start_ns=start,
                end_ns=None if is_open else end,
                condition=condition,
            )
        )
        if takes_effect:
            held = value
            seen.append(held)
    chance.shuffle(history)
    return history


def _expected(is_good: bool) -> Verdict:
    verdict = Verdict.LINEARIZABLE if is_good else Verdict.NOT_LINEARIZABLE
    event(verdict.value)
    return verdict


@settings(max_examples=400, deadline=None)
@given(_any_histories(max_size=6))
def test_the_checker_agrees_with_the_definition(history: list[Operation]) -> None:
    assert check(history) is _expected(is_linearizable(history))
    assert is_linearizable_step_by_step(history) is is_linearizable(history)


@settings(max_examples=800, deadline=None)
@given(_SEEDS, st.integers(6, 11))
def test_the_checker_agrees_on_longer_histories(seed: int, size: int) -> None:
    history = _likely_history(seed, size)
    assert check(history) is _expected(is_linearizable_step_by_step(history))


@settings(max_examples=300, deadline=None)
@given(_any_histories(max_size=7))
def test_a_witness_is_a_part_of_the_history_and_wrong_by_itself(history: list[Operation]) -> None:
    if check(history) is Verdict.LINEARIZABLE:
        return
    witness = find_witness(history, Budget())
    assert not is_linearizable(witness)
    assert all(_is_part(op, history) for op in witness)


@settings(max_examples=800, deadline=None)
@given(_SEEDS, st.integers(3, 11))
def test_leaving_calls_out_makes_no_good_history_wrong(seed: int, size: int) -> None:
    history = _likely_history(seed, size)
    if check(history) is not Verdict.LINEARIZABLE:
        return
    chance = random.Random(seed + 1)
    chosen = {op.id for op in history if chance.random() < 0.5}
    values = {op.value for op in history if op.kind == "put" and op.id in chosen}
    chosen |= {op.id for op in history if op.kind == "read" and op.value in values}
    assert check(without(history, chosen)) is Verdict.LINEARIZABLE
    assert check(until(history, chance.randint(-40, 150))) is Verdict.LINEARIZABLE


def _is_part(op: Operation, history: Sequence[Operation]) -> bool:
    """Whether it is one of the calls, or asks for less than it."""
    (original,) = [other for other in history if other.id == op.id]
    weakened = replace(original, end_ns=op.end_ns, condition=op.condition)
    return (
        op == weakened
        and op.end_ns in (None, original.end_ns)
        and op.condition in (None, original.condition)
    )
