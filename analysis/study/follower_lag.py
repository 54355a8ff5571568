"""How far behind the followers are when the last write is answered, and when they catch up."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

_PAUSE_S = 0.002


class LagError(Exception):
    """The lag could not be found out."""


@dataclass(frozen=True)
class FollowerLag:
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
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what :meth:`save` has written.

        :raises LagError: when the file is missing or is something else.
        """
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise LagError(f"cannot read {path}: {error}") from error


def observe_lag(fetch_status: Callable[[], dict[str, Any]], timeout_s: float) -> FollowerLag:
    """Ask for the lag at once, then again and again until no follower is behind.

    :param fetch_status: returns the decoded answer of the leader's ``/status``.
    :param timeout_s: seconds after which the followers still behind are given up on.
    :return: the lag in the first answer and the time every follower took.
    :raises LagError: when an answer has no list of followers with their lag.
    """
    started = time.monotonic()
    status = fetch_status()
    asked_after_s = time.monotonic() - started
    first = _lag_entries(status)
    caught_up: dict[str, float | None] = dict.fromkeys(first)
    lag = first
    while True:
        elapsed_s = time.monotonic() - started
        for address, entries in lag.items():
            if entries == 0 and caught_up.get(address) is None:
                caught_up[address] = elapsed_s
        if None not in caught_up.values() or elapsed_s > timeout_s:
            return FollowerLag(_last_index(status), asked_after_s, first, caught_up)
        time.sleep(_PAUSE_S)
        lag = _lag_entries(fetch_status())


def _lag_entries(status: dict[str, Any]) -> dict[str, int]:
    try:
        return {str(node["address"]): int(node["lag_entries"]) for node in status["followers"]}
    except (KeyError, TypeError, ValueError) as error:
        raise LagError(f"/status does not tell the followers' lag ({error!r})") from error


def _last_index(status: dict[str, Any]) -> int:
    try:
        return int(status["last_index"])
    except (KeyError, TypeError, ValueError) as error:
        raise LagError(f"/status does not tell the last index ({error!r})") from error
