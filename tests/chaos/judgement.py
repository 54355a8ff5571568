"""Everything that is checked of a history."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos import answer_checks, final_checks, version_checks
from tests.chaos.fault import LEADER
from tests.chaos.findings import Finding
from tests.chaos.history import Call, History
from tests.chaos.linearizability import Budget, Verdict, check
from tests.chaos.operations import Condition, Operation
from tests.chaos.witness import find_witness

CHECKS: tuple[Callable[[History], Iterable[Finding]], ...] = (
    final_checks.problems,
    final_checks.nothing_shown,
    final_checks.lost_writes,
    final_checks.different_copies,
    answer_checks.unexpected_answers,
    answer_checks.unconfirmed_confirmations,
    answer_checks.values_from_nowhere,
    version_checks.ambiguous_versions,
    version_checks.disordered_versions,
    version_checks.reads_that_go_back,
    version_checks.unmet_minimum_versions,
)


@dataclass
class Judgement:
    """What is known of a history.

    :param findings: everything that must not be.
    :param undecided: keys of which it is not known whether their history is linearizable.
    :param seconds: that the checks took.
    """

    findings: list[Finding] = field(default_factory=list)
    undecided: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether everything was checked and nothing was found."""
        return not self.findings and not self.undecided


def judge(history: History, search_s: float, witness_s: float = 20.0) -> Judgement:
    """Make all checks.

    :param search_s: how long the search for linear orders may take, for all keys together.
    :param witness_s: how long the violations may be made smaller, for all keys together.
    """
    start_s = time.monotonic()
    judgement = Judgement([finding for rule in CHECKS for finding in rule(history)])
    search = Budget(seconds=search_s)
    histories = operations_by_key(history.calls)
    violated = []
    for key, operations in histories.items():
        verdict = check(operations, search)
        if verdict is Verdict.UNDECIDED:
            judgement.undecided.append(key)
        elif verdict is Verdict.NOT_LINEARIZABLE:
            violated.append(key)
    smaller = Budget(seconds=witness_s)
    for key in violated:
        witness = find_witness(histories[key], smaller)
        judgement.findings.append(_violation(key, witness, history.calls))
    judgement.seconds = time.monotonic() - start_s
    return judgement


def operations_by_key(calls: Iterable[Call]) -> dict[str, list[Operation]]:
    """What the leader answered, or left open, for each key."""
    by_key = defaultdict(list)
    for call in calls:
        silent = call.outcome in ("refused", "unavailable")
        if not silent and (call.is_write or call.node == LEADER):
            by_key[call.key].append(_operation(call))
    return dict(by_key)


def _operation(call: Call) -> Operation:
    condition = None if call.precondition is None else Condition(call.precondition.value)
    return Operation(
        id=call.id,
        kind=call.kind,
        value=call.value,
        start_ns=call.start_ns,
        end_ns=None if call.outcome == "open" else call.end_ns,
        condition=condition,
    )


def _violation(key: str, witness: Sequence[Operation], calls: Iterable[Call]) -> Finding:
    by_id = {call.id: call for call in calls}
    last = max((op for op in witness if op.end_ns is not None), key=lambda op: op.end_ns or 0)
    text = f"no order explains the calls on {key} up to #{last.id}, which ended last"
    return Finding("not linearizable", text, [by_id[op.id] for op in witness])
