"""What nodes might say in ``/status``, for tests without nodes."""

from typing import Any

from kvstore.api_types import DelayFigures, FollowerStatus, Status

NO_DELAY = DelayFigures(
    min_ms=0, max_ms=0, count=0, mean_drawn_ms=0, mean_happened_ms=0, correlation=None
)


def node_status(*followers: FollowerStatus, **changes: Any) -> Status:
    """A leader of these followers, if not changed into something else."""
    plain: dict[str, Any] = {
        "role": "leader",
        "state": "leading",
        "epoch": 1,
        "reign": "reign",
        "node": "leader",
        "cluster": "cluster",
        "leader": "http://leader:5000",
        "last_index": 9,
        "commit_index": 9,
        "applied_index": 9,
        "write_quorum": 1,
        "waiting_for": [],
        "problem": None,
        "discarded": 0,
        "followers": list(followers),
    }
    return Status(**plain | changes)


def follower_seen(node: str, **changes: Any) -> FollowerStatus:
    """What a leader says of a follower that holds everything."""
    plain: dict[str, Any] = {
        "address": f"{node}:5000",
        "node": node,
        "state": "streaming",
        "problem": None,
        "match_index": 9,
        "lag_entries": 0,
        "lag_s": 0.0,
        "last_contact_s": 0.1,
        "entries_sent": 9,
        "snapshots_sent": 0,
        "delay": NO_DELAY,
    }
    return FollowerStatus(**plain | changes)
