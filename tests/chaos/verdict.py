"""The verdict on a history, for people."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from tests.chaos.findings import Finding
from tests.chaos.history import History
from tests.chaos.judgement import Judgement

_SHOWN_PER_RULE = 4


def verdict_lines(history: History, judgement: Judgement) -> Iterator[str]:
    """What happened, and what is to be said of it."""
    campaign = history.campaign
    yield (
        f"seed {campaign.seed}: {campaign.seconds:g} s, {campaign.followers} followers, "
        f"W={campaign.write_quorum}, {campaign.clients} clients, {len(campaign.keys)} keys, "
        f"{len(campaign.schedule)} faults, {len(history.emptied)} directories deleted or put back"
    )
    outcomes = Counter(call.outcome for call in history.calls)
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))
    yield f"{len(history.calls):,} calls: {counts}; checked in {judgement.seconds:.1f} s"
    yield f"longest time without a confirmed write: {_longest_silence_s(history):.1f} s"
    by_rule: dict[str, list[Finding]] = defaultdict(list)
    for finding in judgement.findings:
        by_rule[finding.rule].append(finding)
    for findings in by_rule.values():
        for finding in findings[:_SHOWN_PER_RULE]:
            yield from finding.lines()
        if len(findings) > _SHOWN_PER_RULE:
            yield f"    ({len(findings) - _SHOWN_PER_RULE} more like this)"
    for key in judgement.undecided:
        yield f"undecided: whether the calls on {key} are linearizable; the search took too long"
    yield _last_word(judgement)


def _longest_silence_s(history: History) -> float:
    ends_ns = [call.end_ns for call in history.calls if call.outcome == "confirmed"]
    ends_ns = sorted([*ends_ns, history.last_ns])
    return max((later - earlier for earlier, later in pairwise(ends_ns)), default=0) / 1e9


def _last_word(judgement: Judgement) -> str:
    if judgement.findings:
        return f"FAILED: {len(judgement.findings)} findings"
    if judgement.undecided:
        return "UNDECIDED: nothing was found, but not everything was checked"
    return "PASSED: nothing confirmed was lost, and every key's history is linearizable"
