"""The messages between leader and followers; this module, as JSON, is the wire format.

Every message carries the cluster's id and the reign it belongs to; every answer says which
node answers, which reign it follows, and what it holds. An answer with ``error`` set is a refusal.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import TypedDict, TypeVar

import msgspec
from msgspec import Struct

from kvstore.core.entries import (
    Entry,
    Epoch,
    Index,
    Item,
    Members,
    Position,
    ReignId,
    RememberedRequest,
)
from kvstore.core.errors import InvalidRequest
from kvstore.core.lineage import ReignStart

T = TypeVar("T", bound=Struct)

BODY_LIMIT = 64 << 20
"""Bytes of any message: far above what is put into one, and above the largest value allowed."""

WIRE_NAMES = {
    "cluster_id": "cluster",
    "reign_id": "reign",
    "takeover_id": "takeover",
    "leader_url": "leader",
    "node_id": "node",
    "found_reign_id": "found_reign",
    "prev_reign_id": "prev_reign",
    "snapshot_id": "snapshot",
    "index_reign_id": "index_reign",
    "last_reign_id": "last_reign",
}
"""Fields that have a shorter name in JSON."""


class Header(TypedDict):
    """The fields that every message has."""

    cluster_id: str | None
    epoch: int
    restart: int
    reign_id: str
    takeover_id: str
    leader_url: str


class Message(Struct, frozen=True, kw_only=True, rename=WIRE_NAMES):
    """Leader to follower.

    :param cluster_id: id of the cluster; None while the leader does not know it.
    :param epoch: of the reign; 0 while the leader has none.
    :param reign_id: id of the reign.
    :param restart: of the reign.
    :param takeover_id: of the reign.
    :param leader_url: URL under which others reach the leader; None when it does not say.
    :param number: repeated by the answer, so that each answer belongs to one message.
    """

    epoch: Epoch
    reign_id: str
    restart: Index = 0
    takeover_id: str = ""
    cluster_id: str | None = None
    leader_url: str | None = None
    number: Index = 0

    @property
    def of_reign(self) -> ReignId | None:
        """The reign that the message belongs to; None = none."""
        if self.epoch == 0:
            return None
        return ReignId(self.epoch, self.restart, self.reign_id, self.takeover_id)


class Hello(Message, frozen=True, kw_only=True):
    """Asks which node is there and what it holds; changes nothing."""


class Claim(Message, frozen=True, kw_only=True):
    """Begins a reign at this follower: from now on it refuses every other.

    :param node_id: id of the node that is meant; another one may answer at its address by now.
    :param found_reign_id: id of the reign in which the leader found it; None = none. If it has
        joined another since, it refuses the claim: the leader has to learn of that reign first.
    :param members: the followers that the leader knows.
    """

    node_id: str
    found_reign_id: str | None
    members: Members


class Append(Message, frozen=True, kw_only=True):
    """Entries that follow a position the follower must hold; without entries, a heartbeat.

    :param prev_index: index of the entry just before the first.
    :param prev_epoch: epoch of that entry.
    :param prev_reign_id: id of the reign that appended that entry.
    :param last_index: the leader's last index, which tells the follower how far behind it is.
    :param commit_index: the leader's commit index.
    """

    prev_index: Index
    prev_epoch: Epoch
    prev_reign_id: str
    entries: list[Entry]
    last_index: Index
    commit_index: Index

    @property
    def prev(self) -> Position:
        return Position(self.prev_epoch, self.prev_index, self.prev_reign_id)

    @property
    def end_index(self) -> int:
        """Index of the last entry; without entries, of the position before them."""
        return self.prev_index + len(self.entries)


class SnapshotChunk(Message, frozen=True, kw_only=True):
    """A part of the leader's map at exactly one position.

    :param snapshot_id: id of the snapshot that this is a chunk of.
    :param index: index of the map's position.
    :param index_epoch: epoch of the map's position.
    :param index_reign_id: id of the reign at the map's position.
    :param lineage: the reigns up to the map's position.
    :param members: the followers that the leader's log names.
    :param offset: how many items and requests came in earlier chunks.
    :param items: a part of the map.
    :param requests: a part of the requests remembered at that position.
    :param done: whether this is the last chunk.
    :param last_index: as in :class:`Append`.
    """

    snapshot_id: str
    index: Index
    index_epoch: Epoch
    index_reign_id: str
    lineage: list[ReignStart]
    members: Members
    offset: Index
    items: list[Item]
    requests: list[RememberedRequest]
    done: bool
    last_index: Index

    @property
    def position(self) -> Position:
        return Position(self.index_epoch, self.index, self.index_reign_id)


class Fetch(Message, frozen=True, kw_only=True):
    """Asks a claimed follower for a part of its state.

    :param offset: how many items, requests and entries came in earlier answers.
    """

    offset: Index


class Refusal(StrEnum):
    """Why a follower refuses a message. The values are for people, in the answer's ``error``."""

    OTHER_CLUSTER = "this node belongs to another cluster"
    OTHER_NODE = "the claim is for another node"
    OTHER_REIGN = "another reign is in force"
    REIGN_CHANGED = "another reign began meanwhile"
    NOT_CLAIMED = "this reign has not claimed the follower"
    EPOCH_TOO_HIGH = "the epoch is implausibly high"
    POSITION_NOT_HELD = "the log does not hold the position before the entries"
    ENTRY_DIFFERS = "an entry differs from the one in the log"
    CHUNK_MISSING = "a chunk of the snapshot is missing"
    NOT_DURABLE_YET = "the last entries are not durable yet"
    COPY_LOST = "the copy has to start over"


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True, rename=WIRE_NAMES):
    """Follower to leader.

    :param node_id: id of the node that answers.
    :param cluster_id: the cluster it belongs to; None while it belongs to none.
    :param epoch: of the reign that claimed it last; 0 for none.
    :param reign_id: id of that reign; None for none.
    :param restart: of that reign.
    :param takeover_id: of that reign.
    :param last_index: index of its last entry.
    :param last_epoch: epoch of its last entry.
    :param last_reign_id: id of the reign that appended its last entry.
    :param commit_index: what it knows to be confirmed (a lower bound).
    :param members: after a hello or a claim: the followers that a takeover has to ask too.
    :param lineage: after a claim: the reigns of its log.
    :param number: of the message.
    :param error: why it refused, a text of :class:`Refusal`; None if it did not. A follower of
        another version may give other reasons, so the text is not validated.
    """

    node_id: str
    cluster_id: str | None
    epoch: Epoch
    reign_id: str | None
    last_index: Index
    last_epoch: Epoch
    restart: Index = 0
    takeover_id: str = ""
    last_reign_id: str = ""
    commit_index: Index = 0
    members: Members = {}
    lineage: list[ReignStart] = []
    number: Index = 0
    error: str | None = None

    @property
    def position(self) -> Position:
        return Position(self.last_epoch, self.last_index, self.last_reign_id)

    @property
    def followed(self) -> ReignId | None:
        """The reign that claimed the follower last; None = none."""
        if self.reign_id is None:
            return None
        return ReignId(self.epoch, self.restart, self.reign_id, self.takeover_id)


class Fetched(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to :class:`Fetch`.

    :param base_index: index of the position before the first entry of its log.
    :param items: a part of its map, which is at ``last_index``.
    :param requests: a part of the requests it remembers.
    :param entries: a part of its log.
    :param total: items, requests and entries in all.
    """

    base_index: Index = 0
    items: list[Item] = []
    requests: list[RememberedRequest] = []
    entries: list[Entry] = []
    total: Index = 0


ANSWERS: dict[type[Message], type[Answer]] = {
    Hello: Answer,
    Claim: Answer,
    Append: Answer,
    SnapshotChunk: Answer,
    Fetch: Fetched,
}

_decoders: dict[type[Struct], Callable[[bytes], Struct]] = {
    kind: msgspec.json.Decoder(kind).decode for kind in (*ANSWERS, *set(ANSWERS.values()))
}

encode: Callable[[Struct], bytes] = msgspec.json.Encoder().encode


def decode(kind: type[T], body: bytes) -> T:
    """Read one message or answer.

    :param body: UTF-8 JSON.
    :raises InvalidRequest: it is not of this kind; the text names the field.
    """
    try:
        body.decode("utf-8")
        message = _decoders[kind](body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"invalid message: {error}") from None
    assert isinstance(message, kind)
    return message
