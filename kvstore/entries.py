"""The values everything else is about: positions in the log, entries, and items of the map."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType

Index = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Epoch = Index
Operation = Literal["put", "delete"]


class Position(Struct, frozen=True, order=True):
    """A place in the log: the epoch and the index of the entry there.

    Ordered by epoch first: of two logs, the one whose last entry has the greater position holds
    everything that may have been confirmed. ``Position(0, 0)`` is before the first entry.
    """

    epoch: int
    index: int


START = Position(0, 0)


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One change in the log.

    :param index: position in the log, from 1, without gaps; also the version it gives its key.
    :param epoch: the reign in which it was appended.
    :param value: canonical JSON of a put; unset for a delete.
    """

    index: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    epoch: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    operation: Operation
    key: str
    value: Raw | UnsetType = UNSET

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.index)

    @property
    def size(self) -> int:
        """Bytes it takes in a message, roughly (a bound for batches, not a promise)."""
        return 80 + len(self.key) + (0 if self.value is UNSET else len(memoryview(self.value)))


class Item(Struct, frozen=True, array_like=True):
    """One key of the map.

    :param version: index of the entry that wrote it last.
    :param value: canonical JSON.
    """

    key: str
    version: Index
    value: Raw

    @property
    def size(self) -> int:
        """Bytes it takes in a message, roughly."""
        return 24 + len(self.key) + len(memoryview(self.value))
