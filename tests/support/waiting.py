"""Waiting for something to become true, without sleeping for a fixed time."""

import time
from collections.abc import Callable

import requests

POLL_INTERVAL_S = 0.02


def wait_until(why_not: Callable[[], str | None], timeout_s: float = 20.0) -> None:
    """Poll until a condition holds.

    :param why_not: returns ``None`` when it holds, else the reason why it does not yet. A node that
        does not answer (:class:`requests.RequestException`) is a reason too.
    :param timeout_s: seconds it may take.
    :raises AssertionError: after the time, with the last reason.
    """
    deadline_s = time.monotonic() + timeout_s
    while (reason := _ask(why_not)) is not None:
        assert time.monotonic() < deadline_s, f"not within {timeout_s:g} s: {reason}"
        time.sleep(POLL_INTERVAL_S)


def _ask(why_not: Callable[[], str | None]) -> str | None:
    try:
        return why_not()
    except requests.RequestException as error:
        return f"no answer ({error})"
