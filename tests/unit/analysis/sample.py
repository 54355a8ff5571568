"""Synthetic studies: data as a study leaves it behind, of a cluster whose behaviour is known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from analysis.study.machine import Machine
from analysis.study.request_log import RequestLog, RequestLogWriter
from analysis.study.results import RUNS, CpuCost, FollowerResult, Results, RunData, RunResult, Study
from analysis.study.runs import Regime, Run, plan_measurements
from analysis.study.settings import StudySettings
from analysis.study.stale_reads import Read
from analysis.study.statistics import Floats
from kvstore.api_types import Exchange

OVERHEAD_MS = 1.2
"""What a write takes beside waiting for followers."""
EXCHANGE_MS = 0.4
"""From sending a replication request to having read its acknowledgement."""
SLOW_MS = 20.0
STUDY_STARTED_S = 1_767_322_800.0  # 2026-01-02T03:00:00+00:00
_STEP_MS = 0.15  # by which theory says that each further follower is slower, with 0.1 to 1 ms
_READS_PER_RUN = 200

MACHINE = Machine(
    processor="Test Processor",
    cores=2,
    memory_gib=4.0,
    system="Test OS",
    load_average=0.25,
    python="3.11.7",
    packages={"locust": "2.47.0"},
    commit="abc1234+",
)


def make_settings(**overrides: Any) -> StudySettings:
    """A study of local nodes with the usual delay, of few writes."""
    values: dict[str, Any] = {
        "leader_url": None,
        "follower_urls": (),
        "quorums": (1, 2, 3, 4, 5),
        "repeats": 5,
        "writes": 300,
        "idle_writes": 60,
        "fault_writes": 100,
        "keys": 5,
        "users": 15,
        "workers": 0,
        "warm_up_writes": 100,
        "seed": 42,
        "delay_ms": (0.1, 1.0),
        "thorough": False,
        "converge_timeout_s": 30.0,
        "output": "results",
    }
    return StudySettings(**(values | overrides))


def make_results(
    quorums: Sequence[int] = (1, 2, 3, 4, 5),
    repeats: int = 5,
    rise_ms: float = _STEP_MS,
    noise_ms: float = 0.02,
    regimes: Sequence[Regime] = ("idle", "idle_no_delay", "loaded"),
    *,
    seed: int = 1,
    problems: Mapping[str, tuple[str, ...]] | None = None,
    failures: Mapping[str, dict[str, int]] | None = None,
    **settings: Any,
) -> Results:
    """A finished study.

    :param rise_ms: by how much an idle write's latency rises with each follower more. The delays
        are always uniform draws, so that 0 makes data which contradicts the theory: the quorum
        makes no difference.
    :param noise_ms: standard deviation of what shifts each run's latency as a whole.
    :param regimes: what was measured. One with a fault makes the study a thorough one.
    :param seed: the same seed makes the same data.
    :param problems: by name of the run.
    :param failures: number of failed writes by reason, by name of the run.
    :param settings: overrides those of :func:`make_settings`.
    """
    chosen = make_settings(
        **{
            "quorums": tuple(quorums),
            "repeats": repeats,
            "thorough": bool({*regimes} - {"idle", "idle_no_delay", "loaded"}),
            **settings,
        }
    )
    planned = (run for measurement in plan_measurements(chosen) for run in measurement)
    order = tuple(run for run in planned if run.regime in regimes)
    maker = _Maker(chosen, rise_ms, noise_ms, np.random.default_rng(seed))
    runs = tuple(
        maker.make(run, (problems or {}).get(run.name, ()), (failures or {}).get(run.name, {}))
        for run in order
    )
    study = Study(
        settings=chosen,
        machine=MACHINE,
        order=order,
        started_at="2026-01-02T03:04:05+00:00",
        duration_s=81.0,
    )
    return Results(study, runs)


def save_results(results: Results, folder: Path) -> None:
    """Write everything that a study leaves behind.

    :param folder: for ``Results.load``; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results.study.save(folder)
    for data in results.runs:
        run_folder = folder / RUNS / data.run.name
        run_folder.mkdir(parents=True)
        log = data.log
        with RequestLogWriter(run_folder / "requests.csv") as writer:
            for row in zip(log.started_s, log.latency_ms, log.keys, log.versions, strict=True):
                writer.add(float(row[0]), float(row[1]), row[2], int(row[3]), None)
            for reason, count in log.failures.items():
                for _ in range(count):
                    writer.add(STUDY_STARTED_S, 1.0, "failed", None, reason)
        data.save(run_folder)


@dataclass
class _Streams:
    """One run's replication: for each write and follower, in seconds after the run's start."""

    arrived_s: Floats
    acknowledged_s: Floats
    exchanges: list[tuple[int, int, int, float, float, float]]
    """Follower, first and last row, formed, sent, acknowledged."""


@dataclass
class _Maker:
    settings: StudySettings
    rise_ms: float
    noise_ms: float
    random: np.random.Generator
    last_index: int = 100
    last_number: int = 0
    clock_s: float = 0.0

    def make(self, run: Run, problems: tuple[str, ...], failures: dict[str, int]) -> RunData:
        writes = run.writes(self.settings)
        streams = self._idle(run, writes) if run.is_idle else self._loaded(run, writes)
        first_index = self.last_index + 1
        exchanges = self._exchanges(streams, first_index)
        log = self._log(run, streams, first_index, failures)
        # The leader's clock is not the load's: only the differences of its times mean anything.
        began_s, self.clock_s = STUDY_STARTED_S + self.clock_s, self.clock_s + 60
        log.started_s[:] += began_s
        reads = () if run.is_idle else self._reads(streams, log, began_s)
        self.last_index += writes
        return RunData(self._result(run, first_index, problems), log, exchanges, reads)

    def _delays_ms(self, run: Run, size: int) -> Floats:
        low, high = run.delay_ms(self.settings) or (0.1, 1.0)
        return self.random.uniform(low, high, (size, self.settings.follower_count))

    def _idle(self, run: Run, writes: int) -> _Streams:
        """Every write alone: its requests leave at once."""
        arrived_s = np.arange(writes) / run.per_s(self.settings)
        sent_s = arrived_s[:, None] + self._delays_ms(run, writes) / 1000
        acknowledged_s = sent_s + EXCHANGE_MS / 1000
        exchanges = [
            (
                follower,
                row,
                row,
                arrived_s[row],
                sent_s[row, follower],
                acknowledged_s[row, follower],
            )
            for row in range(writes)
            for follower in range(self.settings.follower_count)
        ]
        return _Streams(arrived_s, acknowledged_s, exchanges)

    def _loaded(self, run: Run, writes: int) -> _Streams:
        """Busy streams: a request takes what came while the one before was on its way.

        The clients' rate is what a first attempt makes of it, so that Little's law holds.
        """
        users = self.settings.users
        streams = self._busy(run, writes, rate_per_s=users / 0.003)
        latency_ms = self._latency_ms(run, streams)
        if np.isnan(latency_ms).all():
            return streams
        return self._busy(run, writes, rate_per_s=1000 * users / float(np.nanmean(latency_ms)))

    def _busy(self, run: Run, writes: int, rate_per_s: float) -> _Streams:
        arrived_s = np.cumsum(self.random.exponential(1 / rate_per_s, writes))
        delays_ms = self._delays_ms(run, writes)
        if run.regime == "slow_follower":
            delays_ms[:, 0] = SLOW_MS
        acknowledged_s = np.full((writes, self.settings.follower_count), np.inf)
        exchanges = []
        for follower in range(run.regime == "follower_down", self.settings.follower_count):
            free_s, row = 0.0, 0
            while row < writes:
                formed_s = max(free_s, float(arrived_s[row]))
                last = int(np.searchsorted(arrived_s, formed_s, side="right")) - 1
                sent_s = formed_s + float(delays_ms[row, follower]) / 1000
                free_s = sent_s + EXCHANGE_MS / 1000
                acknowledged_s[row : last + 1, follower] = free_s
                exchanges.append((follower, row, last, formed_s, sent_s, free_s))
                row = last + 1
        return _Streams(arrived_s, acknowledged_s, exchanges)

    def _latency_ms(self, run: Run, streams: _Streams) -> Floats:
        """Latency of each write; NaN where too few followers acknowledged it."""
        w = run.write_quorum
        confirmed_s = streams.arrived_s
        if w > 0:
            confirmed_s = np.sort(streams.acknowledged_s, axis=1)[:, w - 1]
        waited_ms = 1000 * (confirmed_s - streams.arrived_s)
        extra_ms = (self.rise_ms - _STEP_MS) * (w - 1) if run.regime == "idle" else 0.0
        latency_ms = OVERHEAD_MS + waited_ms + extra_ms
        return np.where(np.isfinite(latency_ms), latency_ms, np.nan)

    def _log(
        self, run: Run, streams: _Streams, first_index: int, failures: dict[str, int]
    ) -> RequestLog:
        """What the clients saw: confirmed writes in the order of their answers."""
        latency_ms = self._latency_ms(run, streams) + self.random.normal(0, self.noise_ms)
        rows = np.flatnonzero(np.isfinite(latency_ms))
        if unconfirmed := len(latency_ms) - len(rows):
            failures = {**failures, "HTTP 503: too few followers": unconfirmed}
        rows = rows[np.argsort(streams.arrived_s[rows] + latency_ms[rows] / 1000)]
        keys = [f"{run.name}-{row % self.settings.keys}" for row in rows]
        return RequestLog(
            started_s=streams.arrived_s[rows].round(6),
            latency_ms=latency_ms[rows].round(3),
            keys=tuple(keys),
            versions=first_index + rows.astype(np.int64),
            failures=failures,
        )

    def _exchanges(self, streams: _Streams, first_index: int) -> tuple[Exchange, ...]:
        found = []
        by_end = sorted(streams.exchanges, key=lambda each: each[-1])
        for follower, first, last, formed_s, sent_s, acknowledged_s in by_end:
            self.last_number += 1
            offset_s = 1000.0 + self.clock_s
            found.append(
                Exchange(
                    number=self.last_number,
                    follower=_address(follower),
                    first_index=first_index + first,
                    last_index=first_index + last,
                    formed_s=offset_s + float(formed_s),
                    drawn_ms=1000 * float(sent_s - formed_s),
                    sent_s=offset_s + float(sent_s),
                    acknowledged_s=offset_s + float(acknowledged_s),
                )
            )
        return tuple(found)

    def _reads(self, streams: _Streams, log: RequestLog, began_s: float) -> tuple[Read, ...]:
        """Reads at random moments: each sees what its follower had acknowledged by then."""
        if len(log.keys) == 0:
            return ()
        keys = np.array(log.keys)
        acknowledged_s = streams.acknowledged_s[log.versions - log.versions.min()]
        found = []
        for _ in range(_READS_PER_RUN):
            follower = int(self.random.integers(self.settings.follower_count))
            key = str(self.random.choice(keys))
            read_s = float(self.random.uniform(0, streams.arrived_s[-1]))
            held = log.versions[(keys == key) & (acknowledged_s[:, follower] <= read_s)]
            version = int(held.max(initial=0))
            found.append(Read(began_s + read_s, f"http://{_address(follower)}", key, version))
        return tuple(sorted(found))

    def _result(self, run: Run, first_index: int, problems: tuple[str, ...]) -> RunResult:
        local = self.settings.is_local
        behind = self.settings.follower_count - run.write_quorum
        return RunResult(
            run=run,
            started_at="2026-01-02T03:04:05+00:00",
            followers=tuple(
                FollowerResult(
                    name=_address(follower),
                    lag_entries=3 * behind,
                    lag_keys=behind,
                    caught_up_after_s=0.001 + 0.0005 * behind,
                    compared_at=first_index + run.writes(self.settings) - 1,
                    problem=None,
                )
                for follower in range(self.settings.follower_count)
            ),
            cpu=CpuCost(0.0006 + 0.00002 * run.write_quorum, 0.0004) if local else None,
            generator_share=None if run.is_idle else 0.6,
            problems=problems,
        )


def _address(follower: int) -> str:
    return f"127.0.0.1:{10_001 + follower}"
