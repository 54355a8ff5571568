"""The state that the log builds: keys with their values and versions at one position.

It includes the idempotency table, which is part of the state but not of what clients read.
"""

import gc
import hashlib
from collections.abc import Iterable

import msgspec

from kvstore.core.entries import START, Entry, Item, Position, RememberedRequest
from kvstore.core.idempotency_table import REMEMBERED_ENTRIES, IdempotencyTable

_LONG = 10_000
"""Items of a list that the garbage collector is kept from."""


class KeyValueMap:
    """Every key's newest value, as of one position in the log.

    :param position: of the last entry applied.
    :param items: the keys at that position.
    :param requests: the requests remembered at that position.
    :param remembered_entries: see :class:`IdempotencyTable`.
    """

    def __init__(
        self,
        position: Position = START,
        items: Iterable[Item] = (),
        requests: Iterable[RememberedRequest] = (),
        remembered_entries: int = REMEMBERED_ENTRIES,
    ) -> None:
        self.position = position
        self.requests = IdempotencyTable(requests, remembered_entries)
        self._items = {item.key: item for item in items}
        self.size = sum(item.size for item in self._items.values())
        """Approximate size of keys and values, in bytes."""

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> Item | None:
        """The key's item, or None when it does not exist."""
        return self._items.get(key)

    def items(self) -> list[Item]:
        """A copy of all items at ``position``; items themselves never change."""
        items = list(self._items.values())
        if len(items) >= _LONG:
            # Else the garbage collector would look through the list, several times while it is in
            # use: for 1,000,000 items that stops everything for 100 ms. It is freed all the same.
            gc.freeze()
        return items

    def apply(self, entry: Entry) -> None:
        """Execute the next entry.

        :param entry: must have the index after ``position``.
        """
        assert entry.index == self.position.index + 1, "entries are applied in order, once"
        if entry.operation == "delete":
            if (old := self._items.pop(entry.key, None)) is not None:
                self.size -= old.size
        elif entry.operation == "put":
            assert isinstance(entry.value, msgspec.Raw), "a put has a value"
            self._put(Item(entry.key, entry.index, entry.value))
        self.requests.apply(entry)
        self.position = entry.position

    def add(self, items: Iterable[Item], requests: Iterable[RememberedRequest]) -> None:
        """Add parts of another copy of this map.

        :param requests: newer than those already there.
        """
        for item in items:
            self._put(item)
        for request in requests:
            self.requests.add(request)

    def _put(self, item: Item) -> None:
        if (old := self._items.get(item.key)) is not None:
            self.size -= old.size
        self._items[item.key] = item
        self.size += item.size

    def shrink(self, count: int) -> bool:
        """Free some items of a map that is no longer needed.

        :return: whether there are more.
        """
        for _ in range(min(count, len(self._items))):
            self._items.popitem()
        return bool(self._items)

    def digest(self) -> str:
        """The digest of the whole map, as :class:`Digest` defines it."""
        digest = Digest(self.position.index)
        for key in sorted(self._items):
            digest.add(self._items[key])
        return digest.hexdigest()


class Digest:
    """SHA-256 over the JSON of an index and of every item at it, in the order of their keys.

    Two nodes have the same digest if and only if they hold the same keys, values and versions at
    the same index.
    """

    def __init__(self, index: int) -> None:
        self._sha = hashlib.sha256(msgspec.json.encode(index))

    def add(self, item: Item) -> None:
        """Add the item with the next key."""
        self._sha.update(msgspec.json.encode(item))

    def hexdigest(self) -> str:
        """The digest of what was added."""
        return self._sha.hexdigest()
