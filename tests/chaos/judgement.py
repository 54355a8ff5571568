"""Everything that is checked of a history, and the verdict for people."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.chaos import checks, version_checks
from tests.chaos.checks import Finding
from tests.chaos.counterexample import find_counterexample
from tests.chaos.fault import LEADER
from tests.chaos.history import History, Operation, describe_outcomes
from tests.chaos.linearizability import Verdict, check

CHECKS: tuple[Callable[[History], Iterable[Finding]], ...] = (
    checks.problems,
    checks.nothing_shown,
    checks.lost_writes,
    checks.different_copies,
    checks.unexpected_answers,
    checks.incomplete_answers,
    checks.values_from_nowhere,
    version_checks.ambiguous_versions,
    version_checks.disordered_versions,
    version_checks.reads_that_go_back,
    version_checks.unmet_minimum_versions,
)
_COUNTEREXAMPLE_S = 10.0  # for each key
_SHOWN_PER_RULE = 4


@dataclass
class Judgement:
    """What is known of a history.

    :param findings: everything that must not be.
    :param undecided: keys of which it is not known whether their history is linearizable.
    """

    findings: list[Finding]
    undecided: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """For people."""
        if self.findings:
            return f"FAILED: {len(self.findings)} findings"
        if self.undecided:
            return "UNDECIDED: nothing was found, but the search for linear orders took too long"
        return "PASSED: nothing confirmed was lost, and every key's history is linearizable"

    @property
    def passed(self) -> bool:
        """Whether everything was checked and nothing was found."""
        return not self.findings and not self.undecided


def judge(history: History, search_s: float = 120.0) -> Judgement:
    """Make all checks.

    :param search_s: how long the search for linear orders may take, for all keys together.
    """
    judgement = Judgement([finding for rule in CHECKS for finding in rule(history)])
    deadline_s = time.monotonic() + search_s
    for key, operations in observations_by_key(history.operations).items():
        verdict = check(operations, deadline_s)
        if verdict is Verdict.UNDECIDED:
            judgement.undecided.append(key)
        elif verdict is Verdict.NOT_LINEARIZABLE:
            shown = find_counterexample(operations, time.monotonic() + _COUNTEREXAMPLE_S)
            judgement.findings.append(_violation(key, shown, operations))
    return judgement


def observations_by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """What the leader answered, or left open, for each key."""
    by_key = defaultdict(list)
    for op in operations:
        says_nothing = op.outcome in ("refused", "unavailable")
        if not says_nothing and (op.is_write or op.node == LEADER):
            by_key[op.key].append(op)
    return by_key


def _violation(key: str, shown: Sequence[Operation], operations: Iterable[Operation]) -> Finding:
    by_id = {op.id: op for op in operations}
    last = max((op for op in shown if not op.is_open), key=lambda op: op.end_ns)
    text = f"no order explains the operations on {key} up to #{last.id}, which ended last"
    return Finding("not linearizable", text, [by_id[op.id] for op in shown])


def verdict_lines(history: History, judgement: Judgement) -> Iterator[str]:
    """What happened, and what is to be said of it."""
    faults, seed = history.campaign.schedule, history.campaign.seed
    lost = f"{len(history.emptied)} directories deleted or put back"
    yield f"seed {seed}: {len(faults)} faults, {lost}"
    yield f"{len(history.operations):,} operations: {describe_outcomes(history.operations)}"
    by_rule = defaultdict(list)
    for finding in judgement.findings:
        by_rule[finding.rule].append(finding)
    for findings in by_rule.values():
        for finding in findings[:_SHOWN_PER_RULE]:
            yield from finding.lines()
        if len(findings) > _SHOWN_PER_RULE:
            yield f"    ({len(findings) - _SHOWN_PER_RULE} more like this)"
    for key in judgement.undecided:
        yield f"undecided: whether what was done on {key} is linearizable"
    yield judgement.verdict
