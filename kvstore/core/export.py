"""A state, or a part of a log, cut into parts that fit into one message each."""

from collections.abc import Sequence
from typing import TypeVar

from kvstore.core.entries import Entry, Item, RememberedRequest

MAX_ENTRIES = 1000
"""Entries or items in one message, unless a limit of the node says otherwise."""
MAX_BYTES = 1 << 20
"""Bytes of entries or items in one message; a single larger one travels alone."""

P = TypeVar("P", Entry, Item, RememberedRequest)


def bounded(
    parts: Sequence[P],
    start: int,
    stop: int,
    max_entries: int = MAX_ENTRIES,
    max_bytes: int = MAX_BYTES,
) -> list[P]:
    """The parts that fit into one message; at least one if there is any.

    :param start: index of the first.
    :param stop: index after the last one wanted.
    """
    taken = list(parts[start : min(stop, start + max_entries)])
    total = 0
    for count, part in enumerate(taken):
        total += part.size
        if total > max_bytes and count > 0:
            return taken[:count]
    return taken


class Export:
    """A copy of a node's state, sent in parts: the items, then the requests, then the entries.

    :param max_entries: parts in one message.
    """

    def __init__(
        self,
        items: list[Item],
        requests: list[RememberedRequest],
        entries: list[Entry] | None = None,
        max_entries: int = MAX_ENTRIES,
    ) -> None:
        self._max_entries = max_entries
        self._items = items
        self._requests = requests
        self._entries = entries or []
        self.total = len(items) + len(requests) + len(self._entries)

    def parts(self, offset: int) -> tuple[list[Item], list[RememberedRequest], list[Entry]]:
        """The next parts, as many as fit into one message; all of one kind.

        :param offset: how many parts were sent before.
        """
        start = offset - len(self._items)
        if start < 0:
            return self._bounded(self._items, offset), [], []
        if start < len(self._requests):
            return [], self._bounded(self._requests, start), []
        start -= len(self._requests)
        return [], [], self._bounded(self._entries, start)

    def _bounded(self, parts: list[P], start: int) -> list[P]:
        return bounded(parts, start, len(parts), self._max_entries)
