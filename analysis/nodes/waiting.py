"""Wait for something to become true, without sleeping for a fixed time."""

import time
from collections.abc import Callable

import requests

from kvstore.client.errors import NodeUnavailableError

_POLL_INTERVAL_S = 0.02


def wait_until(why_not: Callable[[], str | None], timeout_s: float = 30.0) -> None:
    """Poll until a condition holds.

    :param why_not: returns ``None`` when it holds, else the reason why it does not yet. A node that
        does not answer, or not as expected, is a reason too.
    :param timeout_s: seconds it may take.
    :raises TimeoutError: after the time, with the last reason.
    """
    deadline_s = time.monotonic() + timeout_s
    while (reason := _ask(why_not)) is not None:
        if time.monotonic() > deadline_s:
            raise TimeoutError(f"not within {timeout_s:g} s: {reason}")
        time.sleep(_POLL_INTERVAL_S)


def _ask(why_not: Callable[[], str | None]) -> str | None:
    try:
        return why_not()
    except (NodeUnavailableError, requests.RequestException) as error:
        return str(error)
