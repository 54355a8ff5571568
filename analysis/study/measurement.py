"""One write quorum: warm up, load, wait for the copies, compare them."""

from dataclasses import replace

from analysis.nodes.convergence import CopyCheck, check_copies
from analysis.nodes.errors import LoadError, StudyError
from analysis.nodes.usage import Usage, usage_of
from analysis.study.cluster import Cluster
from analysis.study.delay_report import delay_between
from analysis.study.follower_lag import FollowerLag
from analysis.study.latency import LatencySummary, read_request_log, summarise
from analysis.study.load import LoadSpec, run_load
from analysis.study.locust_totals import read_locust_totals, why_disagreeing
from analysis.study.progress import Progress
from analysis.study.results import CpuCost, FollowerResult, QuorumResult
from analysis.study.settings import StudySettings
from analysis.study.write_plan import WritePlan
from kvstore.api_types import Store


def measure(
    settings: StudySettings, cluster: Cluster, write_quorum: int, progress: Progress
) -> QuorumResult:
    """Measure one quorum and check everything that can be checked about it.

    :param settings: the study.
    :param cluster: the nodes; nobody else may write to them meanwhile.
    :param write_quorum: the quorum to measure.
    :param progress: where to show how far it has got.
    :return: the figures, and every problem found.
    """
    problems: list[str] = []
    latency = lag = delay = cpu = None
    spec = _measured_load(settings, cluster, write_quorum)
    try:
        _warm_up(settings, spec, progress)
        before = cluster.leader.status()
        used_before = _usage(cluster)
        progress.show(write_quorum, 0)
        run_load(spec, lambda answered: progress.show(write_quorum, answered))
        progress.show(write_quorum, settings.writes)
        lag = FollowerLag.load(spec.lag_report)
        cpu = _cpu_cost(cluster, used_before, settings.writes)
        after = cluster.leader.status()
        delay = delay_between(before, after)
        problems += _why_not_written(
            cluster.leader.copy(), spec, before.last_index, after.last_index
        )
    except StudyError as error:
        problems.append(str(error))
    if spec.request_log.exists():
        latency = _read_latency(spec, problems)
    progress.say(f"W={write_quorum}: comparing the copies")
    checks = check_copies(cluster.leader, cluster.followers, settings.converge_timeout_s)
    problems += [f"{check.url}: {check.problem}" for check in checks if check.problem is not None]
    followers = _follower_results(cluster, lag, checks)
    return QuorumResult(write_quorum, latency, delay, followers, tuple(problems), cpu)


def _measured_load(settings: StudySettings, cluster: Cluster, write_quorum: int) -> LoadSpec:
    return LoadSpec(
        leader_url=cluster.leader.url,
        write_quorum=write_quorum,
        writes=settings.writes,
        keys=settings.keys,
        users=settings.users,
        # Keys of its own, so that the next quorum cannot hide what went wrong in this one.
        key_prefix=f"quorum-{write_quorum}-",
        seed=settings.seed,
        folder=settings.output / f"quorum_{write_quorum}",
    )


def _warm_up(settings: StudySettings, measured: LoadSpec, progress: Progress) -> None:
    if settings.warm_up_writes == 0:
        return
    progress.say(f"W={measured.write_quorum}: warming up")
    warm_up = replace(
        measured,
        writes=settings.warm_up_writes,
        key_prefix=f"warm-up-{measured.write_quorum}-",
        folder=measured.folder / "warm_up",
    )
    run_load(warm_up, lambda _: None)


def _usage(cluster: Cluster) -> list[Usage]:
    """What each local node has used, the leader first."""
    return [usage_of(node.processes) for node in cluster.local_nodes]


def _cpu_cost(cluster: Cluster, before: list[Usage], writes: int) -> CpuCost | None:
    if not before:
        return None
    used = [now.cpu_s - then.cpu_s for now, then in zip(_usage(cluster), before, strict=True)]
    return CpuCost(used[0] / writes, sum(used[1:]) / len(used[1:]) / writes)


def _read_latency(spec: LoadSpec, problems: list[str]) -> LatencySummary | None:
    try:
        log = read_request_log(spec.request_log)
        disagreement = why_disagreeing(read_locust_totals(spec.stats_csv), log)
    except LoadError as error:
        problems.append(str(error))
        return None
    problems += [f"{count} failed writes: {reason}" for reason, count in log.failures.items()]
    if disagreement is not None:
        problems.append(disagreement)
    confirmed = len(log.response_ms)
    if confirmed != spec.writes:
        problems.append(f"{confirmed} of {spec.writes} writes were confirmed")
    return summarise(log)


def _why_not_written(copy: Store, spec: LoadSpec, before_index: int, after_index: int) -> list[str]:
    problems = []
    grown = after_index - before_index
    if grown != spec.writes:
        problems.append(f"the leader's log grew by {grown} entries, not by {spec.writes}")
    plan = WritePlan(spec.writes, spec.keys, spec.key_prefix, spec.seed)
    return problems + plan.why_not_in(copy, before_index)


def _follower_results(
    cluster: Cluster, lag: FollowerLag | None, checks: list[CopyCheck]
) -> tuple[FollowerResult, ...]:
    return tuple(
        FollowerResult(
            name=address,
            lag_entries=lag.lag_entries.get(address) if lag else None,
            caught_up_after_s=lag.caught_up_after_s.get(address) if lag else None,
            check=check,
        )
        for address, check in zip(cluster.addresses, checks, strict=True)
    )
