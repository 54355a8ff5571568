"""How fast a follower catches up that was away for a while."""

import time

from analysis.bench.findings import Finding
from analysis.bench.scale.keys import fill
from analysis.bench.scale.options import Options
from analysis.nodes.local_cluster import LocalCluster
from kvstore.api_types import FollowerStatus
from kvstore.client.errors import NodeUnavailableError

_ENTRIES_PER_S = 50_000
_PATIENCE_S = 300.0
_LOOK_S = 0.01


def catch_up(options: Options) -> list[Finding]:
    """Entries a second that a follower takes from the log, in memory and on disk."""
    return [_entries_per_s(options, durable=False), _entries_per_s(options, durable=True)]


def _entries_per_s(options: Options, *, durable: bool) -> Finding:
    kind = "on disk" if durable else "in memory"
    folder = options.folder / f"catch-up-{kind.replace(' ', '-')}"
    settings = {"LOG_RETAIN": str(2 * options.entries), "WRITE_QUORUM": "0"}
    data = folder / "data" if durable else None
    with LocalCluster(1, folder, settings, data) as cluster:
        follower = cluster.followers[0]
        follower.freeze()
        try:
            fill(cluster.leader, options.entries)
        finally:
            follower.thaw()
        rate = _measure(cluster)
    return Finding(
        f"follower catches up from the log, {kind}", rate, "entries/s", _ENTRIES_PER_S,
        note=f"{options.entries:,} entries of 10 bytes",
    )  # fmt: skip


def _measure(cluster: LocalCluster) -> float:
    """:return: entries a second, from the first progress on: before, the leader backs off."""
    behind = _follower(cluster).lag_entries
    deadline_s = time.monotonic() + _PATIENCE_S
    start_s, start_lag = 0.0, behind
    while time.monotonic() < deadline_s:
        lag = _follower(cluster).lag_entries
        if lag == 0:
            # With so few entries that one look shows all of them, this is a lower bound.
            return start_lag / max(
                time.monotonic() - (start_s or deadline_s - _PATIENCE_S), _LOOK_S
            )
        if not start_s and lag < behind:
            start_s, start_lag = time.monotonic(), lag
        time.sleep(_LOOK_S)
    raise NodeUnavailableError(f"the follower did not catch up within {_PATIENCE_S:g} s")


def _follower(cluster: LocalCluster) -> FollowerStatus:
    return cluster.leader.status().followers[0]
