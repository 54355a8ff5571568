"""A study's result to render, put together by hand."""

from pathlib import Path

from analysis.nodes.convergence import CopyCheck
from analysis.nodes.copies import CopyDifference
from analysis.study.delay_report import LoadDelay
from analysis.study.latency import LatencySummary
from analysis.study.machine import Machine
from analysis.study.results import CpuCost, FollowerResult, QuorumResult, StudyResult
from analysis.study.settings import StudySettings

MEANS_MS = {1: 4.0, 2: 4.5, 3: 5.0, 4: 5.5, 5: 6.5}

SETTINGS = StudySettings(
    leader_url=None,
    follower_urls=(),
    quorums=(1, 2, 3, 4, 5),
    writes=10_000,
    keys=100,
    users=6,
    warm_up_writes=500,
    seed=42,
    delay_ms=(0.1, 1.0),
    converge_timeout_s=30.0,
    output=Path("results"),
)

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


def make_latency(mean_ms: float, ci95_ms: float | None = 0.1) -> LatencySummary:
    return LatencySummary(
        writes=10_000,
        mean_ms=mean_ms,
        mean_ci95_ms=ci95_ms,
        p50_ms=mean_ms - 0.25,
        p95_ms=mean_ms * 2,
        p99_ms=mean_ms * 3,
        max_ms=mean_ms * 9,
        duration_s=10.0,
    )


def make_follower(number: int, problem: str | None = None) -> FollowerResult:
    check = CopyCheck(f"http://127.0.0.1:{10_000 + number}", 10_500, CopyDifference(), problem)
    return FollowerResult(f"127.0.0.1:{10_000 + number}", number, 0.002 * number, check)


def make_quorum(
    write_quorum: int, summary: LatencySummary | None, problems: tuple[str, ...] = ()
) -> QuorumResult:
    followers = tuple(make_follower(number) for number in range(5))
    delay, cpu = LoadDelay(12_000, 0.55, 1.5), CpuCost(0.0008, 0.0004)
    return QuorumResult(write_quorum, summary, delay, followers, problems, cpu)


def make_study(means_ms: dict[int, float] = MEANS_MS, ci95_ms: float | None = 0.1) -> StudyResult:
    return StudyResult(
        settings=SETTINGS,
        machine=MACHINE,
        order=(3, 1, 5, 2, 4),
        quorums=tuple(
            make_quorum(w, make_latency(mean_ms, ci95_ms)) for w, mean_ms in means_ms.items()
        ),
        started_at="2026-01-02T03:04:05+00:00",
        duration_s=81.0,
    )
