"""Requests that wait for an index, on greenlets."""

import gevent
import pytest
from gevent import Greenlet

from kvstore.node.waiters import IndexWaiters

LONG_S = 30.0


def spawn(waiters: IndexWaiters, *indexes: int) -> "list[Greenlet[..., None]]":
    """Greenlets that wait, one for each index."""
    waiting = [gevent.spawn(waiters.wait, index, LONG_S) for index in indexes]
    gevent.sleep(0)
    return waiting


def woken(waiting: "list[Greenlet[..., None]]") -> list[bool]:
    """Which of them have ended by now."""
    gevent.sleep(0)
    return [greenlet.dead for greenlet in waiting]


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ([2], [False, False, False, False]),
        ([3], [True, True, False, False]),
        ([3, 3, 2], [True, True, False, False]),
        ([1, 2, 3, 4], [True, True, False, False]),
        ([5], [True, True, True, False]),
        ([1000], [True, True, True, True]),
    ],
)
def test_everyone_up_to_the_index_is_woken(release: list[int], expected: list[bool]) -> None:
    waiters = IndexWaiters()
    waiting = spawn(waiters, 3, 3, 5, 100)
    for index in release:
        waiters.release(index)
    assert woken(waiting) == expected
    gevent.killall(waiting)


def test_abandoned_waiters_are_woken_and_later_ones_wait_again() -> None:
    waiters = IndexWaiters()
    waiting = spawn(waiters, 1, 2)
    waiters.abandon()
    assert woken(waiting) == [True, True]
    later = spawn(waiters, 1)
    waiters.wait(1, 0.001)
    assert woken(later) == [False], "time up ends one wait alone"
    waiters.release(1)
    assert woken(later) == [True]


def test_node_that_was_taken_back_is_waited_for_again() -> None:
    waiters = IndexWaiters()
    waiters.release(10)
    waiters.release(4)
    waiting = spawn(waiters, 6)
    waiters.release(6)
    assert woken(waiting) == [True]
