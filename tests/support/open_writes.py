"""Writes whose outcome stays open, because followers are lost and the leader does not know yet."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import requests

_ATTEMPTS = 10


def write_unnoticed(
    lose: Callable[[], None], restore: Callable[[], None], *writes: Callable[[], requests.Response]
) -> list[requests.Response]:
    """Lose followers, and write before the leader has noticed.

    A leader that was faster has refused a write, which leaves no trace: then all is restored, and
    tried again.

    :param lose: freezes the followers, or cuts them off.
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
