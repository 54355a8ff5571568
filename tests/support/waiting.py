"""Waiting until a node says of itself what a test expects."""

from collections.abc import Callable, Mapping
from typing import Any

from analysis.nodes.node_client import NodeClient
from analysis.nodes.waiting import wait_until

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


def why_different(fields: Mapping[str, Any], expected: Mapping[str, Any]) -> str | None:
    """What is not as expected, with everything that was found; ``None`` when all is."""
    wrong = [
        name
        for name, wanted in expected.items()
        if not (wanted(fields[name]) if callable(wanted) else fields[name] == wanted)
    ]
    return f"not the expected {', '.join(wrong)}: {dict(fields)}" if wrong else None
