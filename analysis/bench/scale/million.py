"""A million keys: memory, restart, and a snapshot of them while writes go on."""

import threading
import time

from analysis.bench.findings import Finding
from analysis.bench.scale.keys import fill
from analysis.bench.scale.options import Options
from analysis.bench.wrk import PUTS, Load, run_wrk
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import Node
from analysis.nodes.usage import resident_bytes
from analysis.nodes.waiting import wait_until
from kvstore.client.errors import NodeUnavailableError

_VALUE_BYTES = 10
_BYTES_PER_KEY = 400
_READY_S = 10
_SNAPSHOT_S = 30
_LONGEST_WAIT_MS = 50
_PATIENCE_S = 600.0
_CONNECTIONS = 15


def million(options: Options) -> list[Finding]:
    """One durable cluster of two followers, filled once."""
    folder = options.folder / "million"
    with LocalCluster(2, folder, {"WRITE_QUORUM": "1"}, folder / "data") as cluster:
        empty = [resident_bytes(node.processes[:2]) for node in cluster.nodes[:2]]
        fill(cluster.leader, options.many, _VALUE_BYTES)
        _wait_until_equal(cluster)
        full = [resident_bytes(node.processes[:2]) for node in cluster.nodes[:2]]
        grown = [after - before for before, after in zip(empty, full, strict=True)]
        return [
            *_memory(grown, options.many),
            *_restart(cluster, options.many),
            *_snapshot(cluster, options),
        ]


def _memory(grown: list[int], keys: int) -> list[Finding]:
    own = _VALUE_BYTES + 2 + len("key") + len(str(keys - 1))
    note = f"beside {own} of key and value; includes the newest entries of the log"
    return [
        Finding(
            f"memory for each of {keys:,} keys, {role}", size / keys - own, "bytes",
            _BYTES_PER_KEY, "most", note,
        )
        for role, size in zip(("leader", "follower"), grown, strict=True)
    ]  # fmt: skip


def _restart(cluster: LocalCluster, keys: int) -> list[Finding]:
    cluster.stop()
    start_s = time.monotonic()
    for node in reversed(cluster.nodes):
        node.launch()
    waiting = {"leader": cluster.leader, "follower": cluster.followers[0]}
    ready_s: dict[str, float] = {}

    def why_not() -> str | None:
        for role, node in waiting.items():
            if role not in ready_s and _is_ready(node):
                ready_s[role] = time.monotonic() - start_s
        missing = waiting.keys() - ready_s.keys()
        return f"{', '.join(missing)} is not ready" if missing else None

    wait_until(why_not, _PATIENCE_S)
    return [
        Finding(f"start with {keys:,} keys on disk, {role}", ready_s[role], "s", _READY_S, "most",
                "all nodes at the same time")
        for role in waiting
    ]  # fmt: skip


def _is_ready(node: Node) -> bool:
    try:
        return node.is_ready()
    except OSError:
        return False


def _snapshot(cluster: LocalCluster, options: Options) -> list[Finding]:
    """Empty a follower, and give it everything while others write."""
    before = run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, options.seconds)
    follower = cluster.followers[1]
    follower.empty()
    loads: list[Load] = []
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            loads.append(run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, 1))

    writers = threading.Thread(target=write)
    writers.start()
    try:
        follower.start()
        start_s = time.monotonic()
        wait_until(lambda: _why_no_snapshot(cluster), _PATIENCE_S)
        took_s = time.monotonic() - start_s
    finally:
        stop.set()
        writers.join()
    longest_ms = max(load.max_ms for load in loads)
    rate = sum(load.answers for load in loads) / sum(load.duration_s for load in loads)
    subject = f"snapshot of {options.many:,} keys while {_CONNECTIONS} clients write"
    return [
        Finding(subject, took_s, "s", _SNAPSHOT_S, "most", f"{rate:,.0f} writes/s meanwhile"),
        Finding(f"{subject}: longest wait of a write", longest_ms, "ms", _LONGEST_WAIT_MS, "most",
                f"without a snapshot: {before.max_ms:.0f} ms, {before.per_s:,.0f} writes/s"),
    ]  # fmt: skip


def _why_no_snapshot(cluster: LocalCluster) -> str | None:
    for follower in cluster.leader.status().followers:
        if follower.address == cluster.followers[1].address:
            done = follower.snapshots_sent > 0 and follower.state == "streaming"
            return None if done else follower.state
    raise NodeUnavailableError("the leader does not know the follower")


def _wait_until_equal(cluster: LocalCluster) -> None:
    def why_not() -> str | None:
        lags = [follower.lag_entries for follower in cluster.leader.status().followers]
        return f"followers are behind by {lags}" if any(lags) else None

    wait_until(why_not, _PATIENCE_S)
