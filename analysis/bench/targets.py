"""What the benchmark is to reach, as ratios within one run on two cores."""

import math
from collections.abc import Iterator, Sequence

from analysis.bench.cases import (
    DURABLE_AT_ONCE,
    DURABLE_DELAYED,
    PLAIN_DESIGN,
    QUORUMS,
    READ_FOLLOWER,
    READ_LEADER,
)
from analysis.bench.findings import Finding, Sense
from analysis.bench.measurement import Measurement
from analysis.bench.summary import Summary, ratio_between

_WRITES_TO_CEILING = {
    15: {1: 0.50, 3: 0.45, 5: 0.40},
    64: {1: 0.75, 3: 0.70, 5: 0.65},
    1000: dict.fromkeys(QUORUMS, 0.85),
}
_WRITES_TO_PLAIN = {15: 4.0, 64: 6.0}
_READS_TO_CEILING = 1.2
_P99_TO_P50 = 3.0
_ONE_CONNECTION_P50 = {1: 5.0, 5: 9.0}


def judge(summaries: Sequence[Summary], measurements: Sequence[Measurement]) -> list[Finding]:
    """Compare the results with the targets.

    :return: one finding for each target; those of cases that were not measured are left out.
    """
    results = _Results(summaries, measurements)
    found = [*_writes(results), *_many_connections(results), *_reads(results), *_idle(results)]
    return [finding for finding in found if finding is not None]


class _Results:
    """Makes findings of what was measured, and None of what was not."""

    def __init__(self, summaries: Sequence[Summary], measurements: Sequence[Measurement]) -> None:
        self._summaries = {(each.case.name, each.connections): each for each in summaries}
        self._measurements = measurements

    def to_ceiling(
        self, name: str, connections: int, figure: str, target: float, sense: Sense = "least"
    ) -> Finding | None:
        summary = self._summaries.get((name, connections))
        spread = summary.ratios.get(figure) if summary else None
        words = {"per_s": "rate", "p50_ms": "p50"}[figure]
        value = spread.median if spread else math.nan
        return self._finding((name, connections), f"{words}, to ceiling", value, target, sense)

    def to_plain(self, name: str, connections: int, plain: str, target: float) -> Finding | None:
        value = ratio_between(self._measurements, name, plain, connections)
        subject = "rate, to the plain design"
        return self._finding((name, connections), subject, value, target, "least")

    def fairness(self, name: str, connections: int) -> Finding | None:
        summary = self._summaries.get((name, connections))
        value = math.nan
        if summary is not None and "p50_ms" in summary.figures:
            value = summary.figures["p99_ms"].median / summary.figures["p50_ms"].median
        return self._finding((name, connections), "p99 to p50", value, _P99_TO_P50, "most")

    def errors(self, name: str, connections: int) -> Finding | None:
        summary = self._summaries.get((name, connections))
        value = summary.errors if summary else math.nan
        return self._finding((name, connections), "errors", value, 0, "most")

    def _finding(
        self, where: tuple[str, int], subject: str, value: float, target: float, sense: Sense
    ) -> Finding | None:
        name, number = where
        if where not in self._summaries:
            return None
        what = f"{name}, {number:,} connection{'s' if number > 1 else ''}: {subject}"
        return Finding(what, value, "", target, sense)


def _writes(results: _Results) -> Iterator[Finding | None]:
    for connections, targets in _WRITES_TO_CEILING.items():
        for quorum, target in targets.items():
            name = f"{DURABLE_DELAYED}, W={quorum}"
            yield results.to_ceiling(name, connections, "per_s", target)
    for connections, target in _WRITES_TO_PLAIN.items():
        for quorum in QUORUMS:
            name, plain = f"{DURABLE_DELAYED}, W={quorum}", f"{PLAIN_DESIGN}, W={quorum}"
            yield results.to_plain(name, connections, plain, target)


def _many_connections(results: _Results) -> Iterator[Finding | None]:
    for quorum in QUORUMS:
        name = f"{DURABLE_DELAYED}, W={quorum}"
        yield results.errors(name, 1000)
        yield results.fairness(name, 1000)


def _reads(results: _Results) -> Iterator[Finding | None]:
    for case in (READ_LEADER, READ_FOLLOWER):
        for connections in (64, 1000):
            yield results.to_ceiling(case.name, connections, "per_s", _READS_TO_CEILING)
            yield results.fairness(case.name, connections)


def _idle(results: _Results) -> Iterator[Finding | None]:
    for quorum, target in _ONE_CONNECTION_P50.items():
        yield results.to_ceiling(f"{DURABLE_AT_ONCE}, W={quorum}", 1, "p50_ms", target, "most")
