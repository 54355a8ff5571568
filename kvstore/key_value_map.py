"""The state that the log builds: keys with their values and versions at one position.

With it goes the table of requests, which is part of the state but not of what clients read.
"""

import hashlib
from collections.abc import Iterable

import msgspec

from kvstore.entries import START, Entry, Item, Position, Request
from kvstore.request_table import RequestTable


class KeyValueMap:
    """Every key's newest value, as of one position in the log.

    :param position: of the last entry applied.
    :param items: the keys at that position.
    :param requests: the requests remembered at that position.
    """

    def __init__(
        self,
        position: Position = START,
        items: Iterable[Item] = (),
        requests: Iterable[Request] = (),
    ) -> None:
        self.position = position
        self.requests = RequestTable(requests)
        self._items = {item.key: item for item in items}

    def __len__(self) -> int:
        return len(self._items)

    def get(self, key: str) -> Item | None:
        """The key's item, or None when it does not exist."""
        return self._items.get(key)

    def items(self) -> list[Item]:
        """A copy of all items at ``position``; items themselves never change."""
        return list(self._items.values())

    def apply(self, entry: Entry) -> None:
        """Execute the next entry.

        :param entry: must have the index after ``position``.
        """
        assert entry.index == self.position.index + 1, "entries are applied in order, once"
        if entry.operation == "delete":
            self._items.pop(entry.key, None)
        else:
            assert isinstance(entry.value, msgspec.Raw), "a put has a value"
            self._items[entry.key] = Item(entry.key, entry.index, entry.value)
        self.requests.apply(entry)
        self.position = entry.position

    def digest(self) -> str:
        """SHA-256 (hex) over the JSON of the index and of every item in the order of its key.

        Two nodes have the same digest exactly if they hold the same keys, values and versions
        at the same index.
        """
        sha = hashlib.sha256(msgspec.json.encode(self.position.index))
        for key in sorted(self._items):
            sha.update(msgspec.json.encode(self._items[key]))
        return sha.hexdigest()
