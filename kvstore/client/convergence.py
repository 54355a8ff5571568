"""Wait until all copies are at the leader's index, and compare them there."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from kvstore.api_types import Store
from kvstore.client.copies import CopyDifference, compare_copies
from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient

_POLL_INTERVAL_S = 0.05


@dataclass(frozen=True)
class CopyCheck:
    """What became of comparing one follower with the leader.

    :param url: the follower's base URL.
    :param index: the index at which the two copies were compared; ``None`` when they were never
        seen at the same one.
    :param difference: how its copy differs there; ``None`` likewise.
    :param problem: why the check failed, ``None`` when the copies are equal.
    """

    url: str
    index: int | None
    difference: CopyDifference | None
    problem: str | None

    @property
    def is_equal(self) -> bool:
        """Whether the copies were compared at one index and are equal."""
        return self.problem is None


def check_copies(
    leader: NodeClient, followers: Sequence[NodeClient], timeout_s: float
) -> list[CopyCheck]:
    """Poll until every follower is at the leader's index, and compare each copy there.

    A node that cannot be reached, answers with an error, or never gets to the leader's index fails
    the check.

    :param leader: the leader.
    :param followers: the nodes to compare with it.
    :param timeout_s: seconds all of them together may take.
    :return: one result for each follower, in their order.
    """
    deadline = time.monotonic() + timeout_s
    checks: dict[str, CopyCheck] = {}
    while True:
        _compare_once(leader, followers, checks)
        waiting = [node for node in followers if checks[node.url].difference is None]
        if not waiting or time.monotonic() > deadline:
            return [checks[node.url] for node in followers]
        time.sleep(_POLL_INTERVAL_S)


def _compare_once(
    leader: NodeClient, followers: Sequence[NodeClient], checks: dict[str, CopyCheck]
) -> None:
    waiting = [
        node for node in followers if node.url not in checks or checks[node.url].difference is None
    ]
    try:
        leader_copy = leader.copy()
    except NodeUnavailableError as error:
        for node in waiting:
            checks[node.url] = CopyCheck(node.url, None, None, f"no copy of the leader: {error}")
        return
    for node in waiting:
        checks[node.url] = _compare_with(leader_copy, node)


def _compare_with(leader_copy: Store, node: NodeClient) -> CopyCheck:
    try:
        copy = node.copy()
    except NodeUnavailableError as error:
        return CopyCheck(node.url, None, None, f"no copy: {error}")
    if copy.index != leader_copy.index:
        seen = f"last seen at {copy.index}, the leader at {leader_copy.index}"
        return CopyCheck(node.url, None, None, f"never at the leader's index: {seen}")
    difference = compare_copies(leader_copy, copy)
    problem = None if difference.is_empty else difference.describe()
    return CopyCheck(node.url, copy.index, difference, problem)
