"""A consistent copy of the whole map as JSON, made and sent in parts so that others can work."""

import errno
import heapq
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from operator import attrgetter

import msgspec
from gevent.hub import get_hub

from kvstore.core.entries import Item
from kvstore.core.key_value_map import Digest, KeyValueMap
from kvstore.http.responses import LARGE_VALUE_BYTES, PART_BYTES, is_large, value_parts
from kvstore.node.turn import Turn

START_S = 60.0
"""A reader may take this long, and a second more for each MiB: it keeps old values alive."""

_key = attrgetter("key")
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True, kw_only=True)
class Portions:
    """How much is done at a time.

    :param run_items: items that are sorted together.
    :param batch_bytes: items that are encoded together.
    :param large_bytes: a value above that goes by itself.
    :param part_bytes: such a value goes out in parts of this size.
    """

    run_items: int = 10_000
    batch_bytes: int = 64 << 10
    large_bytes: int = LARGE_VALUE_BYTES
    part_bytes: int = PART_BYTES


PORTIONS = Portions()


class StoreCopy:
    """What a map held at one position; it may go on changing.

    :param turn: gives way to others between two portions.
    :param start_s: how long its reader may take, beside a second for each mebibyte.
    """

    def __init__(
        self,
        kv_map: KeyValueMap,
        portions: Portions = PORTIONS,
        turn: Turn | None = None,
        start_s: float = START_S,
    ) -> None:
        self._position = kv_map.position
        self._items = kv_map.items()
        self._portions = portions
        self._turn = turn or Turn()
        self._start_s = start_s

    def parts(self) -> Iterator[bytes]:
        """The copy as one JSON object, :class:`~kvstore.api_types.Store`, to be read once.

        :raises ConnectionResetError: it is read too slowly.
        """
        begin_s = time.monotonic()
        size = 0
        for part in self._parts():
            yield part
            size += len(part)
            if time.monotonic() - begin_s > self._start_s + size / (1 << 20):
                raise ConnectionResetError(errno.ECONNRESET, "the client reads too slowly")

    def _parts(self) -> Iterator[bytes]:
        digest = Digest(self._position.index)
        done: deque[list[Item]] = deque()
        yield b'{"store":{'
        comma = b""
        for batch in self._batches():
            yield comma
            yield from self._members(batch, digest)
            done.append(batch)
            self._turn.give_way()
            comma = b","
        yield b'},"versions":{'
        while done:
            yield _members({item.key: item.version for item in done.popleft()})
            yield b"," if done else b""
            self._turn.give_way()
        yield b'},"index":%d,"epoch":%d,"digest":"%b"}' % (
            self._position.index,
            self._position.epoch,
            digest.hexdigest().encode(),
        )

    def _members(self, batch: list[Item], digest: Digest) -> Iterator[bytes]:
        if self._is_large(batch[0]):
            (item,) = batch
            yield _encode(item.key) + b":"
            yield from value_parts(item.value, self._turn, self._portions.part_bytes)
            # Hashing releases the interpreter's lock: the loop goes on beside the thread.
            get_hub().threadpool.apply(digest.add, (item,))
        else:
            yield _members({item.key: item.value for item in batch})
            for item in batch:
                digest.add(item)

    def _batches(self) -> Iterator[list[Item]]:
        """All items in the order of their keys, a large one by itself."""
        batch: list[Item] = []
        size = 0
        for item in heapq.merge(*self._runs(), key=_key):
            if batch and (size > self._portions.batch_bytes or self._is_large(item)):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield batch

    def _runs(self) -> list[list[Item]]:
        """The items in sorted lists: to sort all at once would block the loop."""
        runs = []
        count = self._portions.run_items
        while self._items:
            self._turn.give_way()
            run = self._items[-count:]
            del self._items[-count:]
            run.sort(key=_key)
            runs.append(run)
        return runs

    def _is_large(self, item: Item) -> bool:
        return is_large(item.value, self._portions.large_bytes)


def _members(members: dict[str, int] | dict[str, msgspec.Raw]) -> bytes:
    """The members of a JSON object, without its braces."""
    return _encode(members)[1:-1]
