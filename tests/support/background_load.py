"""Clients that keep writing while a test does something to the nodes."""

import itertools
import threading
from typing import Self

from kvstore.client.node_client import NodeClient
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

_PAUSE_S = 0.02
_TIMEOUT_S = 90.0
_DELETE_EVERY = 10
_KEYS = 25
"""Of each thread, written in turn."""


class BackgroundLoad:
    """Threads that write until the ``with`` block ends; each to keys of its own.

    :param node: the leader.
    :param record: gets every write.
    :param clients: number of threads.
    """

    def __init__(self, node: NodeClient, record: WriteRecord, clients: int = 4) -> None:
        self._node = node
        self._record = record
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(f"load-{client}",), daemon=True)
            for client in range(clients)
        ]

    def wait_for_confirmed(self, count: int) -> None:
        """Wait until this many more writes are confirmed than at the time of the call."""
        confirmed = self._record.confirmed
        wanted = len(confirmed) + count
        wait_until(
            lambda: None if len(confirmed) >= wanted else f"{len(confirmed)} of {wanted} writes",
            _TIMEOUT_S,
        )

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()

    def _write(self, name: str) -> None:
        for number in itertools.count():
            if self._stopped.is_set():
                return
            key = f"{name}-{number % _KEYS}"
            if number % _DELETE_EVERY == _DELETE_EVERY - 1:
                status = self._record.delete(self._node, key)
            else:
                status = self._record.put(self._node, key, number)
            if status != 200:
                # A leader that is down or not ready answers at once; do not ask without a pause.
                self._stopped.wait(_PAUSE_S)
