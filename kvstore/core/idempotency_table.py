"""Which requests made which entries, so that a repeated request makes no second entry.

The table is built from the log, like the map. Requests expire by index, so every node drops the
same request at the same position.
"""

from collections import deque
from collections.abc import Iterable

from kvstore.core.entries import Entry, RememberedRequest

REMEMBERED_ENTRIES = 100_000
"""A request expires after this many further entries."""


class IdempotencyTable:
    """The requests with an idempotency key among the newest entries.

    :param requests: in any order.
    :param remembered_entries: how many entries those are; the same on all nodes.
    """

    def __init__(
        self,
        requests: Iterable[RememberedRequest] = (),
        remembered_entries: int = REMEMBERED_ENTRIES,
    ) -> None:
        self.remembered_entries = remembered_entries
        self._in_order = deque(sorted(requests, key=lambda request: request.index))
        self._by_key = {request.idempotency_key: request for request in self._in_order}

    def get(self, idempotency_key: str) -> RememberedRequest | None:
        """The request under this key; None when there is none, or it has expired."""
        return self._by_key.get(idempotency_key)

    def requests(self) -> list[RememberedRequest]:
        """A copy of all requests, oldest first."""
        return list(self._in_order)

    def add(self, request: RememberedRequest) -> None:
        """Remember a request that is newer than all others."""
        self._in_order.append(request)
        self._by_key[request.idempotency_key] = request

    def apply(self, entry: Entry) -> None:
        """Take in the next entry, and forget what it pushes out."""
        self._forget_through(entry.index - self.remembered_entries)
        if (request := entry.request) is not None:
            self.add(request)

    def _forget_through(self, index: int) -> None:
        while self._in_order and self._in_order[0].index <= index:
            forgotten = self._in_order.popleft()
            if self._by_key.get(forgotten.idempotency_key) is forgotten:
                del self._by_key[forgotten.idempotency_key]
