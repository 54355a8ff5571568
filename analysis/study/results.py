"""What a study leaves behind: raw data, from which every figure and picture can be made again."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import msgspec
from msgspec import Struct

from analysis.nodes.errors import ResultsError
from analysis.study.exchange_figures import Waits
from analysis.study.machine import Machine
from analysis.study.request_log import REQUEST_LOG, RequestLog, read_request_log
from analysis.study.runs import Run
from analysis.study.settings import StudySettings
from analysis.study.stale_reads import Read, Staleness, judge_reads, load_reads, save_reads
from kvstore.api_types import Exchange

STUDY, RUN, EXCHANGES, READS = "study.json", "run.json", "exchanges.json", "reads.csv"
RUNS = "runs"


class CpuCost(Struct, frozen=True):
    """Processor time that a write takes, in seconds.

    :param leader_s: of the leader.
    :param follower_s: of one follower, on average.
    """

    leader_s: float
    follower_s: float


class FollowerResult(Struct, frozen=True):
    """One follower after one run.

    :param name: how the report calls it.
    :param lag_entries: entries it was behind when the last write was answered; ``None`` = unknown.
    :param lag_keys: keys of this run of which it did not hold the newest value then.
    :param caught_up_after_s: seconds from the last answer until the leader knew that it holds
        everything; ``None`` = not observed.
    :param compared_at: index at which its copy was compared with the leader's; ``None`` = never.
    :param problem: how its copy differs, or why it was not compared; ``None`` = it is equal.
    """

    name: str
    lag_entries: int | None
    lag_keys: int | None
    caught_up_after_s: float | None
    compared_at: int | None
    problem: str | None


class RunResult(Struct, frozen=True, kw_only=True):
    """One run.

    :param run: what was measured.
    :param started_at: local time of the start, ISO 8601 with the offset.
    :param followers: every follower after it.
    :param cpu: the nodes' processor time for a write; ``None`` when they are not the study's own.
    :param generator_share: share of a core that the load's processes used, of the busiest one;
        ``None`` = not known.
    :param in_real_time: whether client and leader had real-time priority.
    :param kept_awake: whether the processors were kept from falling asleep.
    :param commit_ms: mean time of a transaction on a node's disk, in this idle run and those that
        it took turns with; ``None`` = not known.
    :param problems: everything that was found wrong; empty = the check is passed.
    """

    run: Run
    started_at: str
    followers: tuple[FollowerResult, ...]
    cpu: CpuCost | None = None
    generator_share: float | None = None
    in_real_time: bool = False
    kept_awake: bool = False
    commit_ms: float | None = None
    problems: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunData:
    """One run with its raw data.

    :param log: every write.
    :param exchanges: the leader's record of its replication requests meanwhile, oldest first.
    :param reads: reads from followers meanwhile.
    """

    result: RunResult
    log: RequestLog
    exchanges: tuple[Exchange, ...]
    reads: tuple[Read, ...]

    @property
    def run(self) -> Run:
        """What was measured."""
        return self.result.run

    @property
    def duration_s(self) -> float:
        """Seconds from the first write sent to the last answer read; 0 without any."""
        if len(self.log.started_s) == 0:
            return 0.0
        ended_s = self.log.started_s + self.log.latency_ms / 1000
        return float(ended_s.max() - self.log.started_s.min())

    @property
    def throughput_per_s(self) -> float:
        """Confirmed writes per second."""
        return len(self.log.latency_ms) / self.duration_s if self.duration_s else 0.0

    @property
    def converged_after_s(self) -> float | None:
        """Seconds from the last answer until the last follower held everything, if known."""
        times = [follower.caught_up_after_s for follower in self.result.followers]
        known = [time_s for time_s in times if time_s is not None]
        return max(known) if known and len(known) == len(times) else None

    @cached_property
    def waits(self) -> Waits:
        """When each write went to each follower."""
        addresses = [follower.name for follower in self.result.followers]
        return Waits.of(self.exchanges, addresses, self.log.versions)

    @cached_property
    def staleness(self) -> Staleness:
        """How old the reads were."""
        return judge_reads(self.reads, self.log)

    def save(self, folder: Path) -> None:
        """Write all but the log of requests, which the load has written.

        :param folder: of this run; it exists.
        """
        (folder / EXCHANGES).write_bytes(msgspec.json.encode(self.exchanges))
        save_reads(self.reads, folder / READS)
        # The last one: where it is, the run is complete.
        (folder / RUN).write_bytes(msgspec.json.format(msgspec.json.encode(self.result)) + b"\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what :meth:`save` has written.

        :raises ResultsError: a file is missing or damaged.
        """
        result = _read(folder / RUN, RunResult)
        return cls(
            result=result,
            log=read_request_log(folder / REQUEST_LOG),
            exchanges=_read(folder / EXCHANGES, tuple[Exchange, ...]),
            reads=tuple(load_reads(folder / READS)),
        )


class Study(Struct, frozen=True, kw_only=True):
    """What belongs to the study as a whole.

    :param machine: where it ran.
    :param order: the runs in the order in which they were to be made.
    :param started_at: local time of the start, ISO 8601 with the offset.
    :param duration_s: seconds it took; ``None`` = it did not come to its end.
    :param failure: why it ended early; ``None`` = it did not.
    """

    settings: StudySettings
    machine: Machine
    order: tuple[Run, ...]
    started_at: str
    duration_s: float | None = None
    failure: str | None = None

    def save(self, folder: Path) -> None:
        """Write it; what was there is replaced."""
        (folder / STUDY).write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")


@dataclass(frozen=True)
class Results:
    """A study with the data of all its finished runs.

    :param runs: in the order in which they were made.
    """

    study: Study
    runs: tuple[RunData, ...]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read a study's folder.

        :raises ResultsError: it is not there, or is damaged.
        """
        study = _read(folder / STUDY, Study)
        folders = [folder / RUNS / run.name for run in study.order]
        done = [each for each in folders if (each / RUN).exists()]
        return cls(study, tuple(RunData.load(each) for each in done))

    def of(self, regime: str, write_quorum: int | None = None) -> list[RunData]:
        """The runs of one regime, and of one quorum if it is given, by repeat."""
        found = [
            each
            for each in self.runs
            if each.run.regime == regime and write_quorum in (None, each.run.write_quorum)
        ]
        return sorted(found, key=lambda each: (each.run.write_quorum, each.run.repeat))

    def quorums(self, regime: str) -> list[int]:
        """The quorums measured in a regime, ascending."""
        return sorted({each.run.write_quorum for each in self.of(regime)})

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that was found wrong, with the run that it belongs to."""
        found = [f"{each.run.name}: {p}" for each in self.runs for p in each.result.problems]
        if self.study.failure is not None:
            found.append(self.study.failure)
        elif missing := len(self.study.order) - len(self.runs):
            found.append(f"{missing} of {len(self.study.order)} runs were not made")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether all runs were made and nothing was found wrong."""
        return not self.problems


def _read(path: Path, kind: Any) -> Any:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, ValueError) as error:
        raise ResultsError(f"cannot read {path}: {error}") from error
