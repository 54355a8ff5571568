"""The values everything else is about: positions in the log, entries, and items of the map.

They form no cycles, and a node holds millions: ``gc=False`` spares the collector a visit to each.
"""

from collections.abc import Container
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Raw, Struct, UnsetType
from msgspec.structs import replace

Index = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Epoch = Index
MAX_EPOCH = 2**62
MAX_EPOCH_JUMP = 1_000_000_000
"""How far one epoch may lie above another. More is a mistake, and would use up the range."""
Operation = Literal["put", "delete", "noop"]
Address = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_.:%\[\]-]{1,280}\Z")]
Members = Annotated[dict[Address, str], Meta(max_length=1000)]
"""Node ids of followers by their addresses (``host:port``)."""


def members_at(addresses: Container[str], members: Members) -> Members:
    """The members whose addresses are among these."""
    return {address: node for address, node in members.items() if address in addresses}


class ReignId(Struct, frozen=True, array_like=True, gc=False):
    """One uninterrupted period of leadership; it serves as the fencing token.

    :param epoch: number chosen by a takeover; restarts from the leader's own state keep it.
    :param restart: 0 for the takeover's own reign; increases with every restart.
    :param id: random, never repeated.
    :param takeover_id: ``id`` of the takeover's own reign, which its restarts share.
    """

    epoch: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    restart: Index
    id: str
    takeover_id: str

    def is_later_than(self, other: "ReignId | None") -> bool:
        """Whether it began after the other, as far as the two themselves can tell.

        Of two takeovers that chose the same epoch, neither is later.

        :param other: None = no reign.
        """
        if other is None or self.epoch != other.epoch:
            return other is None or self.epoch > other.epoch
        return self.takeover_id == other.takeover_id and self.restart > other.restart

    def restarted(self, reign_id: str, now_ms: int) -> "ReignId":
        """The reign that follows this one when its leader restarts from its own state.

        :param now_ms: the wall clock, so that a directory put back to an older copy repeats none.
        """
        return replace(self, restart=max(self.restart + 1, now_ms), id=reign_id)

    def is_twin_of(self, other: "ReignId | None") -> bool:
        """Whether neither of two different reigns of one epoch is the later one."""
        if other is None or self.epoch != other.epoch or self.id == other.id:
            return False
        return self.takeover_id != other.takeover_id or self.restart == other.restart

    def is_deposed_by(self, other: "ReignId | None") -> bool:
        """Whether the leader of this reign has to stop when it meets the other.

        :param other: None = no reign.
        """
        return other is not None and (other.is_later_than(self) or other.is_twin_of(self))


class Position(Struct, frozen=True, gc=False):
    """A place in the log.

    :param epoch: of the entry there.
    :param index: of the entry there; 0 = before the first one.
    :param reign_id: id of the reign that appended it: with the index it names the entry.
    """

    epoch: int
    index: int
    reign_id: str = ""


START = Position(0, 0)


class Entry(
    Struct,
    frozen=True,
    kw_only=True,
    omit_defaults=True,
    rename={"reign_id": "reign"},
    gc=False,
):
    """One change in the log.

    :param index: position in the log, from 1, without gaps; also the version it gives its key.
    :param epoch: of the reign in which it was appended.
    :param reign_id: id of that reign.
    :param operation: a ``noop`` has no key; it begins a reign, or names a new follower.
    :param value: canonical JSON of a put; unset otherwise.
    :param idempotency_key: of the client's request; unset when it had none.
    :param fingerprint: hash of the request's payload; set when the idempotency key is.
    :param begins: the reign that begins with this noop; unset for every other entry.
    :param members: of a noop: all followers that the leader knows from here on.
    :param continues: the next entry belongs to the same batch: whoever holds this one holds that.
    """

    index: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    epoch: Annotated[int, Meta(ge=1, le=2**63 - 1)]
    reign_id: str
    operation: Operation
    key: str = ""
    value: Raw | UnsetType = UNSET
    idempotency_key: str | UnsetType = UNSET
    fingerprint: str | UnsetType = UNSET
    begins: ReignId | UnsetType = UNSET
    members: Members | UnsetType = UNSET
    continues: bool = False

    @property
    def position(self) -> Position:
        return Position(self.epoch, self.index, self.reign_id)

    @property
    def request(self) -> "RememberedRequest | None":
        """The request that made it; None when that had no idempotency key."""
        if self.idempotency_key is UNSET or self.fingerprint is UNSET:
            return None
        return RememberedRequest(self.idempotency_key, self.index, self.fingerprint)

    @property
    def size(self) -> int:
        """Approximate size in a message, in bytes; limits batches."""
        value = 0 if self.value is UNSET else len(self.value)
        request = 0 if self.idempotency_key is UNSET else 100 + len(self.idempotency_key)
        members = 0 if self.members is UNSET else 120 * (1 + len(self.members))
        return 110 + len(self.key) + value + request + members

    def detached(self) -> "Entry":
        """A copy that does not keep the whole message it came in in memory."""
        return self if self.value is UNSET else replace(self, value=self.value.copy())


class Item(Struct, frozen=True, array_like=True, gc=False):
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
        return 24 + len(self.key) + len(self.value)

    def detached(self) -> "Item":
        """A copy that does not keep the whole message it came in in memory."""
        return replace(self, value=self.value.copy())


class RememberedRequest(Struct, frozen=True, array_like=True, gc=False):
    """A client's request that made an entry, and can be repeated without making a second one.

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
