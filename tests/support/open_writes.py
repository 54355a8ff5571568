"""Writes whose outcome stays open, because followers are lost and the leader does not know yet."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

from analysis.nodes.node import Node
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

_ATTEMPTS = 10

Write = Callable[[], requests.Response]


def until_confirmed(write: Write) -> requests.Response:
    """Repeat a write, which has an idempotency key, until it is neither open nor refused.

    So it is where a write does not wait for long, and other programs keep the nodes busy.
    """
    answers: list[requests.Response] = []

    def why_not() -> str | None:
        answers.append(write())
        return answers[-1].text if answers[-1].status_code in (503, 504) else None

    wait_until(why_not)
    return answers[-1]


def write_unnoticed(
    lose: Callable[[], None], restore: Callable[[], None], *writes: Write
) -> list[requests.Response]:
    """Lose followers, and write before the leader has noticed.

    A leader that was faster has refused a write, which leaves no trace: then all is restored, and
    tried again.

    :param lose: cuts the followers off, for example.
    :param restore: undoes it, and waits until the leader has noticed that too.
    :param writes: sent at the same time; several need an idempotency key each.
    :return: their answers, all 504; the followers are lost still.
    """
    for _ in range(_ATTEMPTS):
        lose()
        with ThreadPoolExecutor(len(writes)) as pool:
            answers = [future.result() for future in [pool.submit(write) for write in writes]]
        if 503 not in {answer.status_code for answer in answers}:
            assert {answer.status_code for answer in answers} == {504}, answers
            return answers
        restore()
    raise AssertionError("the leader always noticed first")


def write_and_freeze(
    cluster: Cluster, followers: list[Node], *writes: Write
) -> list[requests.Response]:
    """Freeze followers, and write before the leader has noticed; they are frozen still."""

    def lose() -> None:
        for follower in followers:
            follower.freeze()

    def restore() -> None:
        cluster.thaw(*followers)
        cluster.wait_until_streaming(*followers)

    return write_unnoticed(lose, restore, *writes)
