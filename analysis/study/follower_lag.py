"""How far behind the followers are when the last write is answered, and when they catch up."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from msgspec import Struct

from analysis.nodes.errors import LagError
from kvstore.api_types import Status

_PAUSE_S = 0.002


class FollowerLag(Struct, frozen=True):
    """What the leader's ``/status`` said after the last answer of a load.

    :param last_index: the leader's last index.
    :param asked_after_s: seconds from the last answer to the first answer of ``/status``.
    :param lag_entries: entries each follower was behind in that answer, by its address.
    :param caught_up_after_s: seconds from the last answer until the leader knew that the follower
        holds everything, by its address; ``None`` when that took longer than the observation.
    """

    last_index: int
    asked_after_s: float
    lag_entries: dict[str, int]
    caught_up_after_s: dict[str, float | None]

    def save(self, path: Path) -> None:
        """Write this as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)) + b"\n")

    @classmethod
    def load(cls, path: Path) -> "FollowerLag":
        """Read what :meth:`save` has written.

        :raises LagError: when the file is missing or is something else.
        """
        try:
            return msgspec.json.decode(path.read_bytes(), type=cls)
        except (OSError, ValueError) as error:
            raise LagError(f"cannot read {path}: {error}") from error


def observe_lag(fetch_status: Callable[[], Status], timeout_s: float) -> FollowerLag:
    """Ask for the lag at once, then again and again until no follower is behind.

    :param fetch_status: asks for the leader's ``/status``.
    :param timeout_s: seconds after which the followers still behind are given up on.
    :return: the lag in the first answer and the time every follower took.
    """
    started = time.monotonic()
    first = status = fetch_status()
    asked_after_s = time.monotonic() - started
    caught_up: dict[str, float | None] = dict.fromkeys(node.address for node in first.followers)
    while True:
        elapsed_s = time.monotonic() - started
        for node in status.followers:
            if node.lag_entries == 0 and caught_up.get(node.address) is None:
                caught_up[node.address] = elapsed_s
        if None not in caught_up.values() or elapsed_s > timeout_s:
            lags = {node.address: node.lag_entries for node in first.followers}
            return FollowerLag(first.last_index, asked_after_s, lags, caught_up)
        time.sleep(_PAUSE_S)
        status = fetch_status()
