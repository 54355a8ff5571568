"""One case, once: set the system up, load it, and look at what that took."""

from dataclasses import dataclass

from analysis.bench.cases import Case
from analysis.bench.systems import System
from analysis.bench.wrk import Load, run_wrk
from analysis.nodes.usage import Usage, usage_of
from kvstore.api_types import Status


@dataclass(frozen=True)
class Measurement:
    """What was seen of one case in one round.

    :param serving: what the node used that was asked.
    :param follower: what one follower used, on average; None = a follower was asked, or there is
        none.
    :param batch: entries for each replication request; None = unknown, or nothing was written.
    """

    round: int
    case: Case
    connections: int
    load: Load
    serving: Usage
    follower: Usage | None
    batch: float | None


def measure(number: int, case: Case, system: System, connections: int, seconds: int) -> Measurement:
    """Measure a case on its system, which is awake.

    :param number: of the round.
    :raises StudyError: a node or wrk did not do as asked.
    """
    cluster = system.cluster
    if case.write_quorum is not None:
        cluster.leader.set_quorum(case.write_quorum)
    if case.delay_ms is not None:
        cluster.leader.set_delay(*case.delay_ms)
    serving = cluster.followers[0] if case.from_follower else cluster.leader
    watched = [serving] if case.from_follower else cluster.nodes
    processes = [node.processes for node in watched]
    has_batches = system.is_ours and case.requests.method == "PUT"
    status = cluster.leader.status() if has_batches else None
    before = [usage_of(each) for each in processes]
    load = run_wrk(serving.url, case.requests, connections, seconds)
    used = [usage_of(each) - earlier for each, earlier in zip(processes, before, strict=True)]
    batch = None if status is None else batch_size(status, cluster.leader.status())
    return Measurement(number, case, connections, load, used[0], _mean(used[1:]), batch)


def batch_size(before: Status, after: Status) -> float | None:
    """Mean number of entries in a replication request between two answers of ``/status``.

    :return: None without any entry.
    """
    entries = _total_sent(after) - _total_sent(before)
    requests = _total_requests(after) - _total_requests(before)
    return entries / requests if entries and requests else None


def _total_sent(status: Status) -> int:
    return sum(follower.entries_sent for follower in status.followers)


def _total_requests(status: Status) -> int:
    return sum(follower.delay.count for follower in status.followers)


def _mean(usages: list[Usage]) -> Usage | None:
    if not usages:
        return None
    total = sum(usages, Usage())
    count = len(usages)
    return Usage(total.cpu_s / count, total.waits // count, total.preemptions // count)
