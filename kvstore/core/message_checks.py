"""Checks that a message does not contradict itself, whoever sent it."""

from collections.abc import Iterable, Sequence
from itertools import pairwise

from msgspec import UNSET, Raw

from kvstore.core.entries import Entry, Item, Position, RememberedRequest
from kvstore.core.errors import InvalidRequest
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.messages import Answer, Append, Fetched, SnapshotChunk


def check_append(message: Append) -> None:
    """Entries are consecutive, and never end within a batch.

    :raises InvalidRequest: they are not, or the indexes do not fit.
    """
    if message.last_index < message.end_index:
        raise _invalid("last_index is below the entries' indexes")
    if message.commit_index > message.last_index:
        raise _invalid("commit_index is above last_index")
    if message.entries and message.entries[-1].continues:
        raise _invalid("the entries end within a batch")
    _check_entries(message.prev, message.entries, message.epoch)


def check_chunk(message: SnapshotChunk) -> None:
    """:raises InvalidRequest: a part of the snapshot does not fit its position."""
    if message.index_epoch > message.epoch:
        raise _invalid("a snapshot from a later epoch than its reign")
    if message.last_index < message.index:
        raise _invalid("last_index is below the snapshot's index")
    _check_lineage(message.lineage, message.position)
    _check_parts(message.items, message.requests, message.index)


def check_claimed(answer: Answer) -> None:
    """:raises InvalidRequest: the lineage is not that of a log that ends at the position."""
    _check_lineage(answer.lineage, answer.position)


def check_fetched(answer: Fetched, lineage: Lineage, offset: int, before: Position | None) -> None:
    """Check a part of a state.

    :param lineage: of the state.
    :param offset: how many parts came earlier.
    :param before: position of the last entry that came earlier; None = none came.
    :raises InvalidRequest: it is not part of a state that ends at the answer's position.
    """
    base = lineage.position_at(answer.base_index)
    if base is None or answer.base_index > answer.last_index:
        raise _invalid("the log does not begin within its lineage")
    count = len(answer.items) + len(answer.requests) + len(answer.entries)
    if offset + count > answer.total or (count == 0 and offset < answer.total):
        raise _invalid("the parts do not add up to their total")
    _check_parts(answer.items, answer.requests, answer.last_index)
    last = before or base
    _check_entries(last, answer.entries, answer.last_epoch)
    for entry in answer.entries:
        if entry.position != lineage.position_at(entry.index):
            raise _invalid("an entry is of another reign than its lineage says")
        last = entry.position
    if offset + count == answer.total and last != answer.position:
        raise _invalid("the entries do not end at the position")


def _invalid(text: str) -> InvalidRequest:
    return InvalidRequest(f"invalid message: {text}")


def _check_lineage(starts: Sequence[ReignStart], position: Position) -> None:
    if any(one.first_index >= following.first_index for one, following in pairwise(starts)):
        raise _invalid("the lineage is not in order")
    if Lineage(starts).position_at(position.index) != position:
        raise _invalid("the lineage does not end at the position")


def _check_parts(
    items: Iterable[Item], requests: Iterable[RememberedRequest], last_index: int
) -> None:
    versions = [*(item.version for item in items), *(request.index for request in requests)]
    if not all(0 < version <= last_index for version in versions):
        raise _invalid("a version is not from before the snapshot")


def _check_entries(before: Position, entries: Iterable[Entry], epoch: int) -> None:
    for entry in entries:
        if entry.index != before.index + 1:
            raise _invalid("the entries' indexes are not in order")
        if not before.epoch <= entry.epoch <= epoch:
            raise _invalid("the entries' epochs are not in order")
        _check_entry(entry, begins=entry.reign_id != before.reign_id)
        before = entry.position


def _check_entry(entry: Entry, *, begins: bool) -> None:
    if (entry.operation == "put") != isinstance(entry.value, Raw):
        raise _invalid("a put has a value and nothing else has one")
    if (entry.idempotency_key is UNSET) != (entry.fingerprint is UNSET):
        raise _invalid("an idempotency key goes with a fingerprint")
    if entry.operation != "noop" and (entry.members is not UNSET or entry.begins is not UNSET):
        raise _invalid("only a noop begins a reign or names followers")
    first = entry.begins
    if begins != (first is not UNSET) or (
        first is not UNSET and (first.epoch, first.id) != (entry.epoch, entry.reign_id)
    ):
        raise _invalid("a reign begins with a noop that names it")
