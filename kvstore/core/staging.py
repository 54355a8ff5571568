"""The copy of another node's state while it arrives, part by part."""

from kvstore.core.entries import Item, Position, RememberedRequest
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.records import StageParts


class Staging:
    """A copy of a map that is on its way.

    :param staging: id of the copy.
    """

    def __init__(self, staging: str) -> None:
        self.id = staging
        self.count = 0
        """How many items and requests have arrived."""
        self._map = KeyValueMap()

    def add(self, items: list[Item], requests: list[RememberedRequest]) -> StageParts:
        """Take in the next parts.

        :return: what has to be saved of them.
        """
        items = [item.detached() for item in items]
        self._map.add(items, requests)
        self.count += len(items) + len(requests)
        return StageParts(self.id, items, requests)

    def finish(self, position: Position) -> KeyValueMap:
        """The whole map, which is at a position."""
        self._map.position = position
        return self._map
