"""One measurement: set the cluster, make the writes, wait for the copies, compare them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count

import numpy as np

from analysis.nodes.awake import kept_awake
from analysis.nodes.errors import LoadError
from analysis.nodes.real_time import real_time
from analysis.nodes.usage import Usage, usage_of
from analysis.study.cluster import Cluster
from analysis.study.disk_commits import DiskCommits
from analysis.study.follower_lag import FollowerLag, observe_lag
from analysis.study.idle_load import IdleClient
from analysis.study.load import LoadSpec, run_load
from analysis.study.locust_totals import read_locust_totals, why_disagreeing
from analysis.study.progress import Progress
from analysis.study.request_log import RequestLog, RequestLogWriter, read_request_log
from analysis.study.results import RUNS, CpuCost, FollowerResult, RunData, RunResult
from analysis.study.runs import SLOW_DELAY_MS, Measurement, Run, take_turns
from analysis.study.settings import StudySettings
from analysis.study.stale_reads import Read, Readers, connect
from analysis.study.write_plan import WritePlan
from kvstore.api_types import Exchange
from kvstore.client.convergence import CopyCheck, check_copies
from kvstore.client.node_client import NodeClient

_LAG_TIMEOUT_S = 5.0


@dataclass
class _Made:
    """What is known of a run once its writes are made.

    :param used: what each local node used for them, the leader first.
    :param generator_share: share of a core that the load took, of its busiest process.
    """

    used: list[Usage]
    generator_share: float | None = None
    reads: tuple[Read, ...] = ()
    problems: list[str] = field(default_factory=list)


def measure(
    settings: StudySettings, cluster: Cluster, measurement: Measurement, progress: Progress
) -> list[RunData]:
    """Make runs, check everything that can be checked about them, and save their data.

    :param settings: the study.
    :param cluster: the nodes; nobody else may write to them meanwhile.
    :param measurement: the runs.
    :param progress: where to show how far it has got.
    :return: the data of each run, with every problem found.
    :raises StudyError: a run left nothing to judge.
    """
    first = measurement[0]
    started_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    specs = {run: load_spec(settings, cluster, run) for run in measurement}
    for spec in specs.values():
        spec.folder.mkdir(parents=True, exist_ok=True)
    progress.begin(measurement)
    leader = cluster.leader
    with (
        _undisturbed(cluster, first) as (in_real_time, awake),
        _conditions(settings, cluster, first) as readable,
    ):
        before = leader.status()
        newest = max((each.number for each in leader.exchanges()), default=0)
        commit_ms = None
        if first.is_idle:
            commits = DiskCommits.of((leader, *cluster.followers))
            made = _write_idle(settings, cluster, specs, progress)
            commit_ms = DiskCommits.of((leader, *cluster.followers)).mean_ms_since(commits)
        else:
            made = {first: _write_loaded(settings, specs[first], cluster, readable, progress)}
        exchanges, after = leader.exchanges(after=newest), leader.status()
    logs = {run: read_request_log(spec.request_log) for run, spec in specs.items()}
    copy = leader.copy()
    if first.is_doomed(settings):
        made[first].problems.clear()  # Locust complains of the failed writes
    else:
        for run, spec in specs.items():
            made[run].problems += _why_unconfirmed(spec, run, logs[run])
            made[run].problems += WritePlan.of(spec).why_not_in(copy, before.last_index)
        made[first].problems += _why_not_grown(specs, after.last_index - before.last_index)
    checks = check_copies(leader, cluster.followers, settings.converge_timeout_s)
    made[first].problems += [f"{each.url}: {each.problem}" for each in checks if each.problem]
    found = []
    for run, spec in specs.items():
        result = RunResult(
            run=run,
            started_at=started_at,
            followers=_follower_results(cluster, spec, logs[run], checks),
            cpu=_cpu_cost(made[run].used, len(logs[run].latency_ms)),
            generator_share=made[run].generator_share,
            in_real_time=in_real_time,
            kept_awake=awake,
            commit_ms=commit_ms,
            problems=tuple(made[run].problems),
        )
        own = exchanges if len(specs) == 1 else _that_brought(exchanges, logs[run])
        data = RunData(result, logs[run], tuple(own), made[run].reads)
        data.save(spec.folder)
        found.append(data)
    progress.end(measurement)
    return found


def load_spec(settings: StudySettings, cluster: Cluster, run: Run) -> LoadSpec:
    """What the load of a run is told."""
    return LoadSpec(
        leader_url=cluster.leader.url,
        write_quorum=run.write_quorum,
        writes=run.writes(settings),
        keys=settings.keys,
        users=settings.users,
        workers=settings.workers,
        join_port=settings.join_port,
        # Keys of its own, so that the next run cannot hide what went wrong in this one.
        key_prefix=f"{run.name}-",
        seed=settings.seed,
        folder=settings.folder / RUNS / run.name,
    )


@contextmanager
def _undisturbed(cluster: Cluster, run: Run) -> Iterator[tuple[bool, bool]]:
    """In an idle run, client and leader need not wait for processors that followers hold: what the
    followers do at the same time on machines of their own would not disturb them either. Nor does
    anyone wait for processors to wake up, which can take longer than what is measured.

    :return: whether client and leader have priority, and whether the processors are kept awake.
    """
    if not run.is_idle or not cluster.local_nodes:
        yield False, False
        return
    leader = [process.pid for process in cluster.local_nodes[0].processes]
    with real_time([0, *leader]) as in_real_time, kept_awake() as awake:
        yield in_real_time, awake


@contextmanager
def _conditions(settings: StudySettings, cluster: Cluster, run: Run) -> Iterator[list[NodeClient]]:
    """Set W, delay and fault of a run, and undo the fault afterwards; idle runs set their own W.

    :return: the followers that can be read meanwhile.
    """
    leader, readable = cluster.leader, list(cluster.followers)
    leader.set_quorum(run.write_quorum)
    delay_ms = run.delay_ms(settings)
    if delay_ms is not None:
        leader.set_delay(*delay_ms)
    with ExitStack() as undo:
        if run.regime == "slow_follower":
            assert delay_ms is not None, "otherwise it could not be undone"
            undo.callback(leader.set_delay, *delay_ms)
            leader.set_delay(*SLOW_DELAY_MS, cluster.addresses[0])
        if run.regime == "follower_down":
            stopped = cluster.local_nodes[1]
            undo.callback(stopped.start)
            stopped.crash()
            readable = readable[1:]
        yield readable


def _write_idle(
    settings: StudySettings, cluster: Cluster, specs: Mapping[Run, LoadSpec], progress: Progress
) -> dict[Run, _Made]:
    """Make all writes of idle runs, which take turns."""
    leader = cluster.leader
    plans = {run: WritePlan.of(spec) for run, spec in specs.items()}
    made = {run: _Made([Usage()] * len(cluster.local_nodes)) for run in specs}
    answers = count(1)
    with ExitStack() as stack:
        connection = stack.enter_context(closing(connect(leader.url)))
        connection.get("/livez").read()  # opens it
        logs = {
            run: stack.enter_context(RequestLogWriter(spec.request_log))
            for run, spec in specs.items()
        }
        per_s = next(iter(specs)).per_s(settings)
        client = IdleClient(connection, per_s, lambda: progress.show(next(answers)))
        for run, writes in take_turns(tuple(specs), settings):
            leader.set_quorum(run.write_quorum)
            before = _usage(cluster)
            client.write(plans[run], writes, run.write_quorum, logs[run])
            spent = (now - then for now, then in zip(_usage(cluster), before, strict=True))
            made[run].used = [sum_ + new for sum_, new in zip(made[run].used, spent, strict=True)]
            if plans[run].is_handed_out:
                observe_lag(leader.status, _LAG_TIMEOUT_S).save(specs[run].lag_report)
    return made


def _write_loaded(
    settings: StudySettings,
    spec: LoadSpec,
    cluster: Cluster,
    readable: Sequence[NodeClient],
    progress: Progress,
) -> _Made:
    """Make all writes of a run with Locust, and read from the followers meanwhile."""
    made = _Made([])
    before = _usage(cluster)
    urls = [follower.url for follower in readable]
    with Readers(urls, WritePlan.of(spec).keys, settings.seed) as readers:
        try:
            made.generator_share = run_load(spec, progress.show)
        except LoadError as error:
            made.problems.append(str(error))
    made.used = [now - then for now, then in zip(_usage(cluster), before, strict=True)]
    made.reads = tuple(readers.reads)
    return made


def _usage(cluster: Cluster) -> list[Usage]:
    """What each local node has used, the leader first."""
    return [usage_of(node.processes) for node in cluster.local_nodes]


def _cpu_cost(used: list[Usage], writes: int) -> CpuCost | None:
    if not used or not writes:
        return None
    leader, *followers = (each.cpu_s / writes for each in used)
    return CpuCost(leader, sum(followers) / len(followers))


def _why_unconfirmed(spec: LoadSpec, run: Run, log: RequestLog) -> list[str]:
    """Compare what was asked for with the log of requests, and that with Locust's totals."""
    problems = [f"{count} failed writes: {reason}" for reason, count in log.failures.items()]
    if not run.is_idle:
        disagreement = why_disagreeing(read_locust_totals(spec.stats_csv), log)
        problems += [disagreement] if disagreement else []
    confirmed = len(log.latency_ms)
    if confirmed != spec.writes:
        problems.append(f"{confirmed} of {spec.writes} writes were confirmed")
    return problems


def _why_not_grown(specs: Mapping[Run, LoadSpec], grown: int) -> list[str]:
    """Compare what was asked for with what the leader's log has more than before."""
    writes = sum(spec.writes for spec in specs.values())
    if grown == writes:
        return []
    return [f"the leader's log grew by {grown} entries, not by {writes}"]


def _that_brought(exchanges: Sequence[Exchange], log: RequestLog) -> list[Exchange]:
    """The exchanges that brought one of a run's writes."""
    versions = np.sort(log.versions)
    ends = [(each.first_index, each.last_index + 1) for each in exchanges]
    held = np.diff(np.searchsorted(versions, np.array(ends).reshape(-1, 2))).ravel()
    return [each for each, number in zip(exchanges, held, strict=True) if number]


def _follower_results(
    cluster: Cluster, spec: LoadSpec, log: RequestLog, checks: list[CopyCheck]
) -> tuple[FollowerResult, ...]:
    lag = FollowerLag.load(spec.lag_report) if spec.lag_report.exists() else None
    newest: dict[str, int] = {}
    for key, version in zip(log.keys, log.versions, strict=True):
        newest[key] = max(int(version), newest.get(key, 0))

    def result(address: str, check: CopyCheck) -> FollowerResult:
        behind = lag.lag_entries.get(address) if lag else None
        held = None if lag is None or behind is None else lag.last_index - behind
        return FollowerResult(
            name=address,
            lag_entries=behind,
            lag_keys=None if held is None else sum(version > held for version in newest.values()),
            caught_up_after_s=lag.caught_up_after_s.get(address) if lag else None,
            compared_at=check.index,
            problem=check.problem,
        )

    return tuple(map(result, cluster.addresses, checks))
