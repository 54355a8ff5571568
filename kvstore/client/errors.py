"""What can go wrong at a client, as one tree.

::

    ClientError
    ├── RefusedError                the nodes refused it: nothing happened, and nothing will
    │   ├── PreconditionFailedError the key has another version
    │   └── BatchRefusedError       a key of a batch has another version
    ├── EntriesCutError             the nodes no longer have the entries to watch
    ├── IndefiniteError             whether a write happens is open
    └── NodeUnavailableError        no node gave a usable answer; a write was not even sent

A write that ended in an :class:`IndefiniteError` may have been made, or may be made later: read the
key, or repeat the write with ``error.idempotency_key``, under which it is made once at most.
"""

from collections.abc import Sequence

from kvstore.api_types import Judged


class ClientError(Exception):
    """Base of every error of a client; the message says what happened, for people."""


class RefusedError(ClientError):
    """It was refused: nothing happened, and nothing will.

    :param status: HTTP status of the answer.
    """

    def __init__(self, reason: str, status: int) -> None:
        super().__init__(reason)
        self.status = status


class PreconditionFailedError(RefusedError):
    """The key has another version.

    :param version: the key's newest version; None when it does not exist.
    """

    def __init__(self, reason: str, version: int | None) -> None:
        super().__init__(reason, 412)
        self.version = version


class BatchRefusedError(RefusedError):
    """A key has another version than an operation of a batch asks for.

    :param results: one for each operation, in order.
    """

    def __init__(self, reason: str, results: Sequence[Judged]) -> None:
        super().__init__(reason, 412)
        self.results = results


class EntriesCutError(ClientError):
    """No node's log reaches back to the entries to watch.

    :param index: a copy of the store (:meth:`.NodeClient.copy`) has at least this index: read one,
        and watch from the copy's index on.
    """

    def __init__(self, reason: str, index: int) -> None:
        super().__init__(reason)
        self.index = index


class IndefiniteError(ClientError):
    """Whether a write happens is open: it may be in the log, and may still be confirmed.

    :param idempotency_key: under which it can be repeated without being made twice.
    :param version: index of its entry, as far as a leader could tell; None = unknown.
    """

    def __init__(self, reason: str, idempotency_key: str, version: int | None) -> None:
        super().__init__(reason)
        self.idempotency_key = idempotency_key
        self.version = version


class NodeUnavailableError(ClientError):
    """No node gave a usable answer: none at all, an error, or an unexpected one."""
