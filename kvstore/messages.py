"""What leader and followers say to each other; the wire format is this module, as JSON.

Every message carries the cluster's id and the reign it belongs to; every answer carries who
answers, what it follows and what it holds. An answer with ``error`` set is a refusal (409).
"""

from collections.abc import Callable, Sequence
from typing import TypedDict, TypeVar

import msgspec
from msgspec import Struct

from kvstore.entries import Entry, Epoch, Index, Item, Position, Request
from kvstore.errors import InvalidRequest

T = TypeVar("T", bound=Struct)

MAX_ENTRIES = 1000
MAX_BYTES = 1 << 20  # of entries or items in one message; a single larger one travels alone
BODY_LIMIT = 64 << 20  # of any message; far above MAX_BYTES and the largest value allowed


P = TypeVar("P", Entry, Item, Request, Item | Request, Item | Request | Entry)


def bounded(parts: Sequence[P], start: int, stop: int, max_bytes: int = MAX_BYTES) -> list[P]:
    """The parts that fit into one message; at least one if there is any.

    :param start: index of the first.
    :param stop: index behind the last wanted.
    """
    taken = list(parts[start : min(stop, start + MAX_ENTRIES)])
    total = 0
    for count, part in enumerate(taken):
        total += part.size
        if total > max_bytes and count > 0:
            return taken[:count]
    return taken


class Header(TypedDict):
    """The fields that every message has."""

    cluster: str | None
    epoch: int
    reign: str
    leader: str


class Message(Struct, frozen=True, kw_only=True):
    """Leader to follower.

    :param cluster: id of the cluster; None while the leader does not know it.
    :param epoch: the reign's number; 0 while the leader has none.
    :param reign: random id of the reign, which tells two reigns of one epoch apart.
    :param leader: URL under which others reach the leader; None when it does not say.
    """

    epoch: Epoch
    reign: str
    cluster: str | None = None
    leader: str | None = None


class Hello(Message, frozen=True, kw_only=True):
    """Asks who is there and what it holds; changes nothing."""


class Claim(Message, frozen=True, kw_only=True):
    """Begins a reign at this follower: from now on it refuses every other.

    :param after_epoch: the reign that the follower was found in; it refuses the claim when it
        has accepted another meanwhile, which the leader has to know of first. None: any.
    :param after_reign: random id of that reign; None for none.
    """

    after_epoch: Epoch | None = None
    after_reign: str | None = None


class Append(Message, frozen=True, kw_only=True):
    """Entries behind a position that the follower must hold; without entries, a heartbeat.

    :param prev_index: index of the entry just before the first.
    :param prev_epoch: epoch of that entry.
    :param last_index: the leader's last index, which tells the follower how far behind it is.
    :param commit_index: the leader's commit index.
    """

    prev_index: Index
    prev_epoch: Epoch
    entries: list[Entry]
    last_index: Index
    commit_index: Index

    @property
    def prev(self) -> Position:
        return Position(self.prev_epoch, self.prev_index)


class SnapshotChunk(Message, frozen=True, kw_only=True):
    """A part of the leader's map at exactly one position.

    :param snapshot: id of the snapshot that this is a chunk of.
    :param index: index of the map's position.
    :param index_epoch: epoch of the map's position.
    :param offset: how many items and requests came in the chunks before.
    :param items: a part of the map.
    :param requests: a part of the requests remembered at that position.
    :param done: whether this is the last chunk.
    :param last_index: as in :class:`Append`.
    """

    snapshot: str
    index: Index
    index_epoch: Epoch
    offset: Index
    items: list[Item]
    requests: list[Request]
    done: bool
    last_index: Index

    @property
    def position(self) -> Position:
        return Position(self.index_epoch, self.index)


class Fetch(Message, frozen=True, kw_only=True):
    """Asks a claimed follower for a part of its state.

    :param offset: how many items, requests and entries came in the answers before.
    """

    offset: Index


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Follower to leader.

    :param node: id of the node that answers.
    :param cluster: the cluster it belongs to; None while it belongs to none.
    :param epoch: the highest epoch it was claimed for; 0 for none.
    :param reign: the reign of that epoch.
    :param last_index: index of its last entry.
    :param last_epoch: epoch of its last entry.
    :param commit_index: what it knows to be confirmed (a lower bound).
    :param error: why it refused; None when it did not.
    """

    node: str
    cluster: str | None
    epoch: Epoch
    reign: str | None
    last_index: Index
    last_epoch: Epoch
    commit_index: Index = 0
    error: str | None = None

    @property
    def position(self) -> Position:
        return Position(self.last_epoch, self.last_index)


class Fetched(Answer, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to :class:`Fetch`.

    :param base_index: index of the position before the first entry of its log.
    :param base_epoch: epoch of that position.
    :param items: a part of its map, which is at ``last_index``.
    :param requests: a part of the requests it remembers.
    :param entries: a part of its log.
    :param total: items, requests and entries in all.
    """

    base_index: Index = 0
    base_epoch: Epoch = 0
    items: list[Item] = []
    requests: list[Request] = []
    entries: list[Entry] = []
    total: Index = 0

    @property
    def base(self) -> Position:
        return Position(self.base_epoch, self.base_index)


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
