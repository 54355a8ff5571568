"""What a test wrote, and what the nodes must hold because of it."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import requests

from kvstore.api_types import Store, Written
from kvstore.client.node_client import NodeClient, decode


@dataclass(frozen=True)
class ConfirmedWrite:
    """A write that was answered 200.

    :param value: ``None`` for a delete; else the value as JSON.
    """

    key: str
    value: str | None
    version: int


class WriteRecord:
    """Writes to a leader, recorded with their outcome; for many threads at a time."""

    def __init__(self) -> None:
        self.confirmed: list[ConfirmedWrite] = []
        self._open_deletes: set[str] = set()
        self._changed = threading.Lock()

    def put(self, node: NodeClient, key: str, value: Any) -> int | None:
        """Put a value.

        :return: the status of the answer; ``None`` for none.
        """
        text = json.dumps(value, sort_keys=True)
        return self._record(partial(node.put, key, value), key, text)

    def put_each(self, node: NodeClient, name: str, count: int) -> None:
        """Put values under as many keys, a few at a time; every write must be confirmed."""
        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(lambda n: self.put(node, f"{name}{n}", n), range(count)))
        assert statuses == [200] * count

    def delete(self, node: NodeClient, key: str) -> int | None:
        """Delete a key; returns like :meth:`put`."""
        return self._record(partial(node.delete, key), key, None)

    def missing_from(self, copy: Store) -> list[ConfirmedWrite]:
        """The confirmed writes that a copy neither holds nor holds something newer than.

        A key that is absent must have been deleted by the newest confirmed write to it, or by an
        open one.
        """
        return [write for write in self._newest().values() if not self._holds(copy, write)]

    def _newest(self) -> dict[str, ConfirmedWrite]:
        with self._changed:
            in_order = sorted(self.confirmed, key=lambda write: write.version)
        return {write.key: write for write in in_order}

    def _holds(self, copy: Store, write: ConfirmedWrite) -> bool:
        version = copy.versions.get(write.key)
        if version is None:
            return write.value is None or write.key in self._open_deletes
        if version > write.version:
            return True
        value = json.dumps(copy.store[write.key], sort_keys=True)
        return version == write.version and value == write.value

    def _record(
        self, write: Callable[[], requests.Response], key: str, value: str | None
    ) -> int | None:
        try:
            answer: requests.Response | None = write()
        except requests.RequestException:
            answer = None
        with self._changed:
            if answer is not None and answer.status_code == 200:
                self.confirmed.append(ConfirmedWrite(key, value, decode(answer, Written).version))
            elif value is None and (answer is None or answer.status_code == 504):
                self._open_deletes.add(key)
        return None if answer is None else answer.status_code
