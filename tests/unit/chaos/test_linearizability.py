"""The checker and the counterexample: against the definition, and on hand-made histories."""

import math
import random
from collections.abc import Sequence
from functools import cache

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.chaos.counterexample import find_counterexample, until, without
from tests.chaos.history import Operation, Value
from tests.chaos.linearizability import Verdict, check
from tests.unit.chaos.samples import IF_ABSENT, HistoryBuilder, if_value


def is_linearizable(operations: Sequence[Operation]) -> bool:
    """The definition: place one operation after the other in every way there is (up to 14)."""
    by_id = {op.id: op for op in operations}

    @cache
    def can_go_on(left: frozenset[int], held: Value) -> bool:
        ops = [by_id[id_] for id_ in left]
        first_end_ns = min((op.end_ns for op in ops if not op.is_open), default=None)
        return first_end_ns is None or any(
            can_go_on(left - {op.id}, op.value if op.is_write else held)
            for op in ops
            if op.start_ns <= first_end_ns and (op.observes is None or op.observes.value == held)
        )

    return can_go_on(frozenset(by_id), None)


def any_history(chance: random.Random, size: int) -> list[Operation]:
    """Operations that took effect one after the other, some time around now; or nearly so."""
    spread = chance.choice((10, 20, 40))
    wrong = chance.choice((0.0, 0.1, 0.5))
    held: Value = None
    seen: list[Value] = [None]
    builder = HistoryBuilder()
    for number in range(1, size + 1):
        at = (10 * number - chance.randint(0, spread), 10 * number + chance.randint(0, spread))
        observed = chance.choice(seen) if chance.random() < wrong else held
        if chance.random() < 0.45:
            builder.read(observed, at=at)
            continue
        value = f"v{number}" if chance.random() < 0.67 else None
        is_open = chance.random() < 0.3
        condition = if_value(observed) if chance.random() < 0.2 else None
        builder.write(value, "open" if is_open else "confirmed", at=at, precondition=condition)
        if not is_open or chance.random() < 0.6:
            held = value
            seen.append(held)
    chance.shuffle(builder.operations)
    return builder.operations


HISTORIES = st.builds(any_history, st.randoms(use_true_random=True), st.integers(3, 11))


@settings(max_examples=2000, deadline=None)
@given(HISTORIES)
def test_the_checker_agrees_with_the_definition(history: list[Operation]) -> None:
    verdict = check(history)
    event(verdict.value)
    assert (verdict is Verdict.LINEARIZABLE) is is_linearizable(history)


@settings(max_examples=300, deadline=None)
@given(HISTORIES)
def test_a_counterexample_is_a_part_of_the_history_and_wrong_by_itself(
    history: list[Operation],
) -> None:
    if check(history) is Verdict.LINEARIZABLE:
        return
    shown = find_counterexample(history, math.inf)
    assert not is_linearizable(shown)
    originals = {op.id: op for op in history}
    for op in shown:
        whole = originals[op.id]
        assert op.outcome in ("open", whole.outcome)
        assert op.precondition in (None, whole.precondition)
        assert op == replace(whole, outcome=op.outcome, precondition=op.precondition)


@settings(max_examples=500, deadline=None)
@given(HISTORIES, st.randoms(use_true_random=True))
def test_leaving_out_makes_no_good_history_wrong(
    history: list[Operation], chance: random.Random
) -> None:
    if check(history) is not Verdict.LINEARIZABLE:
        return
    chosen = {op.id for op in history if chance.random() < 0.5}
    values = {op.value for op in history if op.kind == "put" and op.id in chosen}
    chosen |= {op.id for op in history if op.kind == "read" and op.value in values}
    assert check(without(history, chosen)) is Verdict.LINEARIZABLE
    assert check(until(history, chance.randint(-40, 150))) is Verdict.LINEARIZABLE


B = HistoryBuilder

LINEARIZABLE = {
    "a read during a write sees either value": B()
    .put("a", at=(0, 1))
    .put("b", at=(2, 9))
    .read("a", at=(3, 4))
    .read("b", at=(5, 6)),
    "operations that touch are concurrent": B()
    .put("a", at=(0, 1))
    .put("b", at=(1, 2))
    .read("a", at=(2, 3)),
    "an open write takes effect late": B().put("a").open_put("b").read("a").put("c").read("b"),
    "a chain of open conditional writes": B()
    .open_put("a")
    .open_put("b", precondition=if_value("a"))
    .open_put("c", precondition=if_value("b"))
    .read("c"),
}
NOT_LINEARIZABLE = {
    "a stale read": B().put("a").put("b").read("a"),
    "a lost update": B()
    .put("a")
    .put("b", at=(100, 200), precondition=if_value("a"))
    .put("c", at=(150, 250), precondition=if_value("a")),
    "a resurrected delete": B().put("a").delete().read("a"),
    "an open write seen, and gone again": B().put("a").open_put("b").read("b").read("a"),
    "an open delete explains one absence only": B()
    .put("a")
    .open_delete()
    .read(None)
    .put("b")
    .read(None),
}


@pytest.mark.parametrize("history", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_accepts(history: HistoryBuilder) -> None:
    assert check(history.operations) is Verdict.LINEARIZABLE


@pytest.mark.parametrize("history", NOT_LINEARIZABLE.values(), ids=NOT_LINEARIZABLE)
def test_refuses(history: HistoryBuilder) -> None:
    assert check(history.operations) is Verdict.NOT_LINEARIZABLE
    assert check(history.operations, deadline_s=0) is Verdict.UNDECIDED


def test_a_long_history_needs_no_recursion() -> None:
    history = B()
    for number in range(5000):
        history.put(f"v{number}", at=(10 * number, 10 * number + 15))
        history.read(f"v{number}", at=(10 * number + 3, 10 * number + 4))
    assert check(history.operations) is Verdict.LINEARIZABLE
    history.read("v4000", at=(50_100, 50_101))
    assert check(history.operations) is Verdict.NOT_LINEARIZABLE


def test_only_the_core_of_a_violation_is_left() -> None:
    history = B().put("x").read("x").delete().put("y", precondition=IF_ABSENT).delete()
    history.open_put("m").delete(at=(90, 220)).put("n", at=(90, 230))
    history.put("a").put("b").read("a").put("q").read("p")
    core = find_counterexample(history.operations, math.inf)
    assert [(op.kind, op.value) for op in core] == [("put", "a"), ("put", "b"), ("read", "a")]
    assert len(find_counterexample(history.operations, 0)) > len(core)


def test_a_delete_stays_if_an_open_write_may_yet_find_the_key_absent() -> None:
    history = B().put("a").open_put("b", precondition=IF_ABSENT).delete().operations
    assert without(history, {history[-1].id}) == history
