"""What more followers, more keys and larger values cost."""

from analysis.bench.findings import Finding
from analysis.bench.scale.keys import fill
from analysis.bench.scale.options import Options
from analysis.bench.wrk import PUTS, Load, Requests, run_wrk
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.usage import usage_of

FOLLOWERS = (1, 3, 5, 9)
VALUE_BYTES = (10, 1_000, 32_000, 1_000_000)
_CONNECTIONS = 64
_GROWTH_PER_FOLLOWER = 0.10


def followers(options: Options) -> list[Finding]:
    """The leader's processor time for a write with more and more followers."""
    costs_us = {}
    for count in FOLLOWERS:
        folder = options.folder / f"followers-{count}"
        with LocalCluster(count, folder, data_root=folder / "data") as cluster:
            run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, 1)
            processes = cluster.leader.processes
            before = usage_of(processes)
            load = run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, options.seconds)
            costs_us[count] = 1e6 * (usage_of(processes) - before).cpu_s / max(load.answers, 1)
    found = [
        Finding(f"leader's CPU for a write, {count} followers", cost, "µs")
        for count, cost in costs_us.items()
    ]
    first, last = FOLLOWERS[0], FOLLOWERS[-1]
    growth = (costs_us[last] / costs_us[first] - 1) / (last - first)
    subject = f"growth of that for each follower, from {first} to {last}"
    return [*found, Finding(subject, growth, "", _GROWTH_PER_FOLLOWER, "most")]


def keys(options: Options) -> list[Finding]:
    """Writes a second to few and to many keys."""
    found = []
    with _durable(options, "keys") as cluster:
        for count in sorted({100, min(10_000, options.many), options.many}):
            fill(cluster.leader, count)
            load = _load(cluster, Requests(keys=count), options.seconds)
            found.append(Finding(f"writes/s to {count:,} keys", load.per_s, "/s"))
    return found


def values(options: Options) -> list[Finding]:
    """Writes a second of small and of large values."""
    found = []
    with _durable(options, "values") as cluster:
        for size in VALUE_BYTES:
            requests = Requests(keys=20, value_bytes=size)
            load = _load(cluster, requests, options.seconds)
            volume = f"{load.per_s * size / 1e6:,.1f} MB/s; p99 {load.p99_ms:,.0f} ms"
            note = volume + (f"; {load.errors} errors" if load.errors else "")
            found.append(Finding(f"writes/s of {size:,} bytes", load.per_s, "/s", note=note))
    return found


def _durable(options: Options, name: str) -> LocalCluster:
    return LocalCluster(1, options.folder / name, data_root=options.folder / name / "data")


def _load(cluster: LocalCluster, requests: Requests, seconds: int) -> Load:
    return run_wrk(cluster.leader.url, requests, _CONNECTIONS, seconds)
