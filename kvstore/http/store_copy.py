"""A consistent copy of the whole map as JSON, made and sent in parts between which others work."""

import errno
import heapq
import time
from collections import deque
from collections.abc import Iterator
from operator import attrgetter

import msgspec
from gevent.hub import get_hub

from kvstore.core.entries import Item
from kvstore.core.key_value_map import Digest, KeyValueMap
from kvstore.http.responses import is_large, value_parts
from kvstore.node.turn import Turn

START_S = 60.0
"""A reader may take that long, and a second more for each mebibyte: it keeps old values alive."""

_RUN_ITEMS = 10_000
_BATCH_BYTES = 64 << 10

_key = attrgetter("key")
_encode = msgspec.json.Encoder().encode


class StoreCopy:
    """What a map held at one position; it may go on changing."""

    def __init__(self, kv_map: KeyValueMap) -> None:
        self._position = kv_map.position
        self._items = kv_map.items()
        self._turn = Turn()

    def parts(self) -> Iterator[bytes]:
        """The copy as one JSON object, to be read once.

        :raises ConnectionResetError: it is read too slowly.
        """
        begin_s = time.monotonic()
        size = 0
        for part in self._parts():
            yield part
            size += len(part)
            if time.monotonic() - begin_s > START_S + size / (1 << 20):
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
        if is_large(batch[0].value):
            (item,) = batch
            yield _encode(item.key) + b":"
            yield from value_parts(item.value)
            # Hashing lets go of the interpreter's lock: the loop goes on beside the thread.
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
            if batch and (size > _BATCH_BYTES or is_large(item.value)):
                yield batch
                batch, size = [], 0
            batch.append(item)
            size += item.size
        if batch:
            yield batch

    def _runs(self) -> list[list[Item]]:
        """The items in sorted lists: to sort all at once would hold the loop."""
        runs = []
        while self._items:
            self._turn.give_way()
            run = self._items[-_RUN_ITEMS:]
            del self._items[-_RUN_ITEMS:]
            run.sort(key=_key)
            runs.append(run)
        return runs


def _members(members: dict[str, int] | dict[str, msgspec.Raw]) -> bytes:
    """The members of a JSON object, without its braces."""
    return _encode(members)[1:-1]
