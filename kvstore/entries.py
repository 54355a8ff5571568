"""The values everything else is about: positions in the log, entries, and items of the map."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

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
    :param idempotency_key: of the client's request; unset when it had none.
    :param fingerprint: hash of the request's payload; set when the idempotency key is.
    """

    index: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    epoch: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    operation: Operation
    key: str
    value: Raw | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.index)

    @property
    def size(self) -> int:
        """Bytes it takes in a message, roughly (a bound for batches, not a promise)."""
        value = 0 if self.value is UNSET else len(memoryview(self.value))
        request = 0 if self.idempotency_key is UNSET else 100 + len(self.idempotency_key)
        return 80 + len(self.key) + value + request

    def detached(self) -> "Entry":
        """A copy that does not keep the whole message it came in in memory."""
        return self if self.value is UNSET else replace(self, value=self.value.copy())


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

    def detached(self) -> "Item":
        """A copy that does not keep the whole message it came in in memory."""
        return replace(self, value=self.value.copy())


class Request(Struct, frozen=True, array_like=True):
    """A client's request that can be repeated without a second entry.

    :param idempotency_key: chosen by the client.
    :param index: of the entry that the request made.
    :param fingerprint: hash of its payload.
    """

    idempotency_key: str
    index: Index
    fingerprint: str

    @property
    def size(self) -> int:
        """Bytes it takes in a message, roughly."""
        return 60 + len(self.idempotency_key)
