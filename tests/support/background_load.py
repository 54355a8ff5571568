"""Clients that keep writing while a test does something to the nodes."""

import itertools
import threading
from typing import Self

from analysis.nodes.node_client import NodeClient
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

_PAUSE_S = 0.02
_DELETE_EVERY = 10


class BackgroundLoad:
    """Threads that write until the ``with`` block ends; each to keys of its own.

    :param node: the leader.
    :param record: gets every write.
    :param clients: number of threads.
    :param keys: keys of each thread, written in turn.
    :param deletes: whether one is deleted now and then.
    """

    def __init__(
        self,
        node: NodeClient,
        record: WriteRecord,
        clients: int = 4,
        keys: int = 25,
        deletes: bool = True,
    ) -> None:
        self.record = record
        self._node = node
        self._keys = keys
        self._deletes = deletes
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._write, args=(f"load-{client}",), daemon=True)
            for client in range(clients)
        ]

    def wait_for_confirmed(self, count: int, timeout_s: float = 30.0) -> None:
        """Wait until this many more writes are confirmed than at the time of the call."""
        wanted = len(self.record.confirmed) + count

        def why_not() -> str | None:
            confirmed = len(self.record.confirmed)
            return None if confirmed >= wanted else f"{confirmed} of {wanted} writes are confirmed"

        wait_until(why_not, timeout_s)

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
            key = f"{name}-{number % self._keys}"
            if self._deletes and number % _DELETE_EVERY == _DELETE_EVERY - 1:
                status = self.record.delete(self._node, key)
            else:
                status = self.record.put(self._node, key, number)
            if status != 200:
                # A leader that is down or not ready answers at once; do not ask without a pause.
                self._stopped.wait(_PAUSE_S)
