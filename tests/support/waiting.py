"""Waiting until a node says of itself what a test expects."""

from collections.abc import Callable
from typing import Any

from analysis.nodes.waiting import wait_until
from kvstore.api_types import FollowerStatus, Status
from kvstore.client.node_client import NodeClient

__all__ = ["at_least", "containing", "wait_for_status", "wait_until", "why_different"]


def wait_for_status(node: NodeClient, /, **expected: Any) -> None:
    """Wait until fields of ``/status`` are what is expected.

    :param expected: a value for each field, or a function that says whether a value is right.
    """
    wait_until(lambda: why_different(node.status(), expected))


def at_least(least: int) -> Callable[[int], bool]:
    """For :func:`wait_for_status`: a number that is no smaller."""
    return lambda number: number >= least


def containing(words: str) -> Callable[[str | None], bool]:
    """For :func:`wait_for_status`: a text that has these words in it."""
    return lambda text: text is not None and words in text


def why_different(status: Status | FollowerStatus, expected: dict[str, Any]) -> str | None:
    """What is not as expected, with everything that was found; ``None`` when all is."""
    found = {name: getattr(status, name) for name in expected}
    wrong = [
        name
        for name, wanted in expected.items()
        if not (wanted(found[name]) if callable(wanted) else found[name] == wanted)
    ]
    return f"not the expected {', '.join(wrong)}: {status}" if wrong else None
