"""The figures of a study: for each regime and write quorum, over all repeats."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np

from analysis.study.exchange_figures import (
    Copies,
    Lateness,
    Parts,
    lateness_of,
    predict_busy_streams,
)
from analysis.study.results import CpuCost, Results, RunData
from analysis.study.statistics import (
    Floats,
    Interval,
    law_of_delays,
    mean_interval,
    percentile,
)

BUSY_GENERATOR = 0.9
"""From this share of a core on, the load's process is the bottleneck."""
_SAMPLES = 20_000

T = TypeVar("T")


@dataclass(frozen=True)
class QuorumFigures:
    """One write quorum in one regime.

    :param means_ms: mean latency of each repeat, in milliseconds.
    :param mean_ms: their mean.
    :param p50_ms: percentiles over the writes of all repeats; ``p95_ms``, ``p99_ms`` likewise.
    :param latency_ms: latency of every confirmed write, ascending.
    :param per_s: confirmed writes per second.
    :param failures: failed writes by reason.
    :param cpu: processor time for a write; None = not known.
    :param generator_share: greatest share of a core that the load took; None = not known.
    """

    write_quorum: int
    runs: tuple[RunData, ...]
    means_ms: tuple[float, ...]
    mean_ms: Interval
    p50_ms: float
    p95_ms: float
    p99_ms: float
    latency_ms: Floats
    per_s: Interval
    failures: dict[str, int]
    cpu: CpuCost | None
    generator_share: float | None

    @property
    def is_idle(self) -> bool:
        """Whether one client wrote at a low rate."""
        return self.runs[0].run.is_idle


def commit_ms_of(results: Results, regime: str) -> float | None:
    """The mean time of a transaction on a node's disk in the runs of a regime; None = not known."""
    known = [ms for run in results.of(regime) if (ms := run.result.commit_ms) is not None]
    return sum(known) / len(known) if known else None


def figures_of(results: Results, regime: str) -> dict[int, QuorumFigures]:
    """By write quorum, of those that have a confirmed write in each repeat."""
    found = {w: _figures(w, results.of(regime, w)) for w in results.quorums(regime)}
    return {w: each for w, each in found.items() if each is not None}


def _figures(write_quorum: int, runs: Sequence[RunData]) -> QuorumFigures | None:
    if not runs or any(len(run.log.latency_ms) == 0 for run in runs):
        return None
    means_ms = tuple(float(run.log.latency_ms.mean()) for run in runs)
    latency_ms = np.sort(np.concatenate([run.log.latency_ms for run in runs]))
    failures: dict[str, int] = {}
    for run in runs:
        for reason, count in run.log.failures.items():
            failures[reason] = failures.get(reason, 0) + count
    costs = [run.result.cpu for run in runs if run.result.cpu is not None]
    shares = [r for run in runs if (r := run.result.generator_share) is not None]
    return QuorumFigures(
        write_quorum=write_quorum,
        runs=tuple(runs),
        means_ms=means_ms,
        mean_ms=mean_interval(means_ms),
        p50_ms=percentile(latency_ms, 50),
        p95_ms=percentile(latency_ms, 95),
        p99_ms=percentile(latency_ms, 99),
        latency_ms=latency_ms,
        per_s=mean_interval([run.throughput_per_s for run in runs]),
        failures=failures,
        cpu=_mean_cost(costs),
        generator_share=max(shares, default=None),
    )


def _mean_cost(costs: Sequence[CpuCost]) -> CpuCost | None:
    if not costs:
        return None
    return CpuCost(
        sum(each.leader_s for each in costs) / len(costs),
        sum(each.follower_s for each in costs) / len(costs),
    )


@dataclass(frozen=True)
class Step:
    """From one measured quorum to the next.

    :param rise_ms: by how much the mean latency rises: mean over repeats of the difference within a
        repeat, so that what drifts between the repeats does not count.
    """

    lower: int
    upper: int
    rise_ms: Interval


def steps_of(figures: dict[int, QuorumFigures]) -> list[Step]:
    """The steps between neighbouring quorums, ascending."""
    return [
        Step(lower, upper, rise(figures[lower], figures[upper]))
        for lower, upper in pairwise(sorted(figures))
    ]


def rise(lower: QuorumFigures, upper: QuorumFigures) -> Interval:
    """By how much the mean latency of one quorum is above that of another, repeat by repeat."""
    pairs = zip(lower.means_ms, upper.means_ms, strict=False)
    return mean_interval([above - below for below, above in pairs])


@dataclass(frozen=True)
class Theory:
    """The curves of the idle regime, in milliseconds; by write quorum.

    :param law: the mean of the W-th smallest of the delays, as theory has it.
    :param delay_only: the same of the delays that really happened, with its interval over repeats.
    """

    law: dict[int, float]
    delay_only: dict[int, Interval]

    @property
    def worst_error(self) -> float | None:
        """The greatest distance of the delays that happened from the law, as a share of the law."""
        errors = [
            abs(each.mean - self.law[w]) / self.law[w]
            for w, each in self.delay_only.items()
            if self.law[w] > 0
        ]
        return max(errors, default=None)


def theory_of(results: Results, regime: str = "idle") -> Theory | None:
    """The law of the delays, and what happened.

    :return: None when the range of the delay is not known, or nothing was measured.
    """
    runs = [each for each in results.of(regime) if each.run.write_quorum > 0]
    if not runs:
        return None
    delay_ms = runs[0].run.delay_ms(results.study.settings)
    if delay_ms is None:
        return None
    law = law_of_delays(*delay_ms, results.study.settings.follower_count)
    # The delays do not depend on W, so every run tells about every k; one figure for each repeat.
    repeats: dict[int, list[list[float]]] = {}
    for each in runs:
        if kth := each.waits.kth_delay_ms():
            repeats.setdefault(each.run.repeat, []).append(kth)
    quorums = sorted({each.run.write_quorum for each in runs})
    happened = [np.mean(kths, axis=0) for kths in repeats.values()]
    delay_only = {w: mean_interval([float(each[w - 1]) for each in happened]) for w in quorums}
    return Theory({w: law[w - 1] for w in quorums}, delay_only if happened else {})


def idle_lateness(results: Results) -> tuple[Lateness, Interval] | None:
    """How late the simulated delays of the idle regime ended.

    :return: the mean over the runs; and by how much more those were late that ended close behind
        another request, with the interval over repeats. None when the record does not tell.
    """
    repeats: dict[int, list[Lateness]] = {}
    for run in results.of("idle"):
        if found := lateness_of(run.exchanges):
            repeats.setdefault(run.run.repeat, []).append(found)
    mean = _mean_of(
        [each for found in repeats.values() for each in found],
        lambda found: Lateness(
            float(np.mean([each.share for each in found])),
            float(np.mean([each.close_ms for each in found])),
            float(np.mean([each.alone_ms for each in found])),
        ),
    )
    if mean is None:
        return None
    more_ms = [
        float(np.mean([each.close_ms - each.alone_ms for each in found]))
        for found in repeats.values()
    ]
    return mean, mean_interval(more_ms)


def beyond_delays(figures: QuorumFigures) -> Interval | None:
    """By how many milliseconds a write takes longer than the W-th smallest of its own delays.

    Unlike the distance from the law, this holds nothing of the chance in the drawn delays.

    :return: the mean over repeats; None when the record has no complete write, or W is 0.
    """
    if figures.write_quorum == 0:
        return None
    more_ms = [
        mean_ms - kth[figures.write_quorum - 1]
        for mean_ms, run in zip(figures.means_ms, figures.runs, strict=True)
        if (kth := run.waits.kth_delay_ms())
    ]
    return mean_interval(more_ms) if more_ms else None


def parts_of(figures: QuorumFigures) -> Parts | None:
    """Where the time of a write goes; the mean over repeats."""
    return _mean_of(
        [run.waits.parts_ms(figures.write_quorum) for run in figures.runs],
        lambda found: Parts(
            float(np.mean([each.queue_ms for each in found])),
            float(np.mean([each.delay_ms for each in found])),
            float(np.mean([each.exchange_ms for each in found])),
        ),
    )


def copies_of(figures: QuorumFigures) -> Copies | None:
    """How many followers hold a confirmed write; the mean over repeats, and the worst moment."""
    return _mean_of(
        [run.waits.copies(figures.write_quorum) for run in figures.runs],
        lambda found: Copies(
            tuple(float(each) for each in np.mean([copies.held for copies in found], axis=0)),
            float(np.mean([copies.alone_ms for copies in found])),
            max(copies.most_at_risk for copies in found),
        ),
    )


def _mean_of(found: Sequence[T | None], mean: Callable[[list[T]], T]) -> T | None:
    known = [each for each in found if each is not None]
    return mean(known) if known else None


def busy_prediction(figures: dict[int, QuorumFigures], seed: int) -> dict[int, float]:
    """What busy streams predict for each quorum, from its own recorded exchanges, in milliseconds.

    It leaves out what a write costs beside waiting for the followers.
    """
    predicted = {}
    for w, each in figures.items():
        found = [predict_busy_streams(run.exchanges, _SAMPLES, seed) for run in each.runs]
        known = [waits for waits in found if waits]
        if w > 0 and known:
            predicted[w] = float(np.mean([waits[w - 1] for waits in known]))
    return predicted


@dataclass(frozen=True)
class LittlesLaw:
    """Clients = throughput times time in the system (Little 1961).

    :param clients: simultaneous clients of the load.
    :param implied: throughput times mean latency: the writes that were under way on average.
    """

    clients: int
    implied: float

    @property
    def share(self) -> float:
        """How much of the clients' time is explained by waiting for answers."""
        return self.implied / self.clients


def littles_law(figures: QuorumFigures, clients: int) -> LittlesLaw:
    """Check a loaded regime's figures against each other."""
    implied = float(
        np.mean([r.throughput_per_s * r.log.latency_ms.mean() / 1000 for r in figures.runs])
    )
    return LittlesLaw(clients, implied)


@dataclass(frozen=True)
class Consistency:
    """The followers beside the leader, for one quorum; means over repeats and followers.

    :param lag_entries: entries behind when the last write was answered; None = not known.
    :param lag_keys: keys without their newest value then.
    :param converged_ms: from the last answer until no follower was behind, in milliseconds.
    :param reads: reads from followers during the load.
    :param stale_share: the share of them that was stale; None without reads.
    :param versions_behind: mean number of confirmed versions that a stale read lacked; None = none.
    :param behind_ms: how long ago the first of these had been confirmed, mean; None likewise.
    """

    lag_entries: float | None
    lag_keys: float | None
    converged_ms: Interval | None
    reads: int
    stale_share: Interval | None
    versions_behind: float | None
    behind_ms: float | None


def consistency_of(figures: QuorumFigures) -> Consistency:
    """How far the followers were behind, during the load and after it."""
    followers = [each for run in figures.runs for each in run.result.followers]
    converged_ms = [
        1000 * after_s for run in figures.runs if (after_s := run.converged_after_s) is not None
    ]
    judged = [run.staleness for run in figures.runs]
    shares = [each.stale / each.reads for each in judged if each.reads]
    versions = [n for each in judged for n in each.versions_behind]
    behind = [ms for each in judged for ms in each.behind_ms]
    return Consistency(
        lag_entries=_mean([each.lag_entries for each in followers]),
        lag_keys=_mean([each.lag_keys for each in followers]),
        converged_ms=mean_interval(converged_ms) if converged_ms else None,
        reads=sum(each.reads for each in judged),
        stale_share=mean_interval(shares) if shares else None,
        versions_behind=_mean(versions),
        behind_ms=_mean(behind),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
