"""The results of a study, before they are drawn or written down."""

from dataclasses import dataclass
from itertools import pairwise

from analysis.nodes.convergence import CopyCheck
from analysis.study.delay_report import LoadDelay
from analysis.study.latency import LatencySummary
from analysis.study.machine import Machine
from analysis.study.settings import StudySettings


@dataclass(frozen=True)
class FollowerResult:
    """One follower after one load.

    :param name: how the report calls it.
    :param lag_entries: entries it was behind when the last write was answered; ``None`` = unknown.
    :param caught_up_after_s: seconds from the last answer until the leader knew that it holds
        everything; ``None`` = not observed.
    :param check: the comparison of its copy with the leader's.
    """

    name: str
    lag_entries: int | None
    caught_up_after_s: float | None
    check: CopyCheck


@dataclass(frozen=True)
class CpuCost:
    """Processor time that a write takes, in seconds.

    :param leader_s: of the leader.
    :param follower_s: of one follower, on average.
    """

    leader_s: float
    follower_s: float


@dataclass(frozen=True)
class QuorumResult:
    """One write quorum.

    :param write_quorum: followers that had to hold a write before it was answered.
    :param latency: what the load measured, ``None`` when no write was confirmed.
    :param delay: the simulated delay during the load, ``None`` when it is not known.
    :param followers: every follower after the load.
    :param problems: every problem found; empty = the check is passed.
    :param cpu: the nodes' processor time for a write; ``None`` when they are not the study's own.
    """

    write_quorum: int
    latency: LatencySummary | None
    delay: LoadDelay | None
    followers: tuple[FollowerResult, ...]
    problems: tuple[str, ...]
    cpu: CpuCost | None = None

    @property
    def copies_equal(self) -> bool:
        """Whether every follower's copy was compared and is equal to the leader's."""
        return all(follower.check.is_equal for follower in self.followers)

    @property
    def max_lag_entries(self) -> int | None:
        """The largest lag among the followers at the last answer, if all are known."""
        lags = [follower.lag_entries for follower in self.followers]
        known = [lag for lag in lags if lag is not None]
        return max(known) if known and len(known) == len(lags) else None

    @property
    def converged_after_s(self) -> float | None:
        """Seconds from the last answer until the last follower held everything, if known."""
        times = [follower.caught_up_after_s for follower in self.followers]
        known = [time for time in times if time is not None]
        return max(known) if known and len(known) == len(times) else None


@dataclass(frozen=True)
class StudyResult:
    """The whole study.

    :param settings: what was asked for.
    :param machine: where it ran.
    :param order: write quorums in the order in which they were measured.
    :param quorums: one result for each measured quorum, in ascending order of the quorum.
    :param started_at: local time of the start, ISO 8601 with the offset.
    :param duration_s: seconds the whole study took.
    """

    settings: StudySettings
    machine: Machine
    order: tuple[int, ...]
    quorums: tuple[QuorumResult, ...]
    started_at: str
    duration_s: float

    @property
    def problems(self) -> tuple[str, ...]:
        """Every problem, with the write quorum it belongs to."""
        measured = {quorum.write_quorum for quorum in self.quorums}
        found = [f"W={q.write_quorum}: {problem}" for q in self.quorums for problem in q.problems]
        missing = [f"W={w}: not measured" for w in self.order if w not in measured]
        return (*found, *missing)

    @property
    def passed(self) -> bool:
        """Whether all quorums were measured and nothing was found wrong."""
        return not self.problems

    @property
    def curve(self) -> tuple[tuple[int, LatencySummary], ...]:
        """Write quorum and figures, ascending, of all quorums that have figures."""
        return tuple((q.write_quorum, q.latency) for q in self.quorums if q.latency is not None)

    @property
    def falls(self) -> tuple[tuple[int, int], ...]:
        """Pairs of neighbouring quorums between which the average does not rise."""
        return tuple(
            (lower, upper)
            for (lower, before), (upper, after) in pairwise(self.curve)
            if after.mean_ms <= before.mean_ms
        )

    @property
    def unclear_steps(self) -> tuple[tuple[int, int], ...]:
        """Pairs of neighbouring quorums whose averages may differ by noise alone.

        Their confidence intervals overlap, or one of them is not known.
        """
        return tuple(
            (lower, upper)
            for (lower, before), (upper, after) in pairwise(self.curve)
            if before.mean_ci95_ms is None
            or after.mean_ci95_ms is None
            or abs(after.mean_ms - before.mean_ms) <= before.mean_ci95_ms + after.mean_ci95_ms
        )
