"""Everything that is checked of a history, and the verdict for people."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

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
_COUNTEREXAMPLE_S = 20.0
_SHOWN_PER_RULE = 4


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


def judge(history: History, search_s: float) -> Judgement:
    """Make all checks.

    :param search_s: how long the search for linear orders may take, for all keys together.
    """
    start_s = time.monotonic()
    judgement = Judgement([finding for rule in CHECKS for finding in rule(history)])
    violated = []
    for key, operations in observations_by_key(history.operations).items():
        verdict = check(operations, start_s + search_s)
        if verdict is Verdict.UNDECIDED:
            judgement.undecided.append(key)
        elif verdict is Verdict.NOT_LINEARIZABLE:
            violated.append((key, operations))
    deadline_s = time.monotonic() + _COUNTEREXAMPLE_S
    for key, operations in violated:
        shown = find_counterexample(operations, deadline_s)
        judgement.findings.append(_violation(key, shown, history.operations))
    judgement.seconds = time.monotonic() - start_s
    return judgement


def observations_by_key(operations: Iterable[Operation]) -> dict[str, list[Operation]]:
    """What the leader answered, or left open, for each key."""
    by_key = defaultdict(list)
    for op in operations:
        says_nothing = op.outcome in ("refused", "unavailable")
        if not says_nothing and (op.is_write or op.node == LEADER):
            by_key[op.key].append(op)
    return dict(by_key)


def _violation(key: str, shown: Sequence[Operation], operations: Iterable[Operation]) -> Finding:
    by_id = {op.id: op for op in operations}
    last = max((op for op in shown if not op.is_open), key=lambda op: op.end_ns)
    text = f"no order explains the operations on {key} up to #{last.id}, which ended last"
    return Finding("not linearizable", text, [by_id[op.id] for op in shown])


def verdict_lines(history: History, judgement: Judgement) -> Iterator[str]:
    """What happened, and what is to be said of it."""
    campaign, operations = history.campaign, history.operations
    yield (
        f"seed {campaign.seed}: {campaign.seconds:g} s, {campaign.followers} followers, "
        f"W={campaign.write_quorum}, {campaign.clients} clients, {len(campaign.keys)} keys, "
        f"{len(campaign.schedule)} faults, {len(history.emptied)} directories deleted or put back"
    )
    counts = describe_outcomes(Counter(op.outcome for op in operations))
    yield f"{len(operations):,} operations: {counts}; checked in {judgement.seconds:.1f} s"
    yield f"longest time without a confirmed write: {_longest_silence_s(operations):.1f} s"
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in judgement.findings:
        by_rule[finding.rule].append(finding)
    for findings in by_rule.values():
        for finding in findings[:_SHOWN_PER_RULE]:
            yield from finding.lines()
        if len(findings) > _SHOWN_PER_RULE:
            yield f"    ({len(findings) - _SHOWN_PER_RULE} more like this)"
    for key in judgement.undecided:
        yield f"undecided: whether what was done on {key} is linearizable; the search took too long"
    yield _last_word(judgement)


def _longest_silence_s(operations: Sequence[Operation]) -> float:
    ends_ns = [op.end_ns for op in operations if op.outcome == "confirmed"]
    ends_ns = sorted([*ends_ns, max((op.end_ns for op in operations), default=0)])
    return max((later - earlier for earlier, later in pairwise(ends_ns)), default=0) / 1e9


def _last_word(judgement: Judgement) -> str:
    if judgement.findings:
        return f"FAILED: {len(judgement.findings)} findings"
    if judgement.undecided:
        return "UNDECIDED: nothing was found, but not everything was checked"
    return "PASSED: nothing confirmed was lost, and every key's history is linearizable"
