"""A batch as a client asks for it, from what a parser has made of its body."""

import hashlib
import re
from typing import Literal

import msgspec
from gevent.hub import get_hub
from msgspec import UNSET, Raw, Struct, UnsetType

from kvstore.core.errors import InvalidRequest
from kvstore.core.leader_log import Batch, Write
from kvstore.core.preconditions import ALWAYS, Precondition, Versions
from kvstore.http.request_parts import check_key
from kvstore.http.responses import is_large
from kvstore.node.turn import Turn


class _Operation(Struct, frozen=True, array_like=True):
    """A line of what :func:`operations_of` returns; a put has a value."""

    key: str
    if_match: int | Literal["*"] | None
    if_none_match: int | Literal["*"] | None
    value: Raw | UnsetType = UNSET


_LINE = re.compile(b".+")
_decode_operation = msgspec.json.Decoder(_Operation).decode


def batch_of(lines: Raw, idempotency_key: str | None, max_key_bytes: int) -> Batch:
    """The batch that a client asks for.

    :param lines: what :func:`operations_of` has made of the body.
    :param idempotency_key: of the request.
    :raises InvalidRequest: a key is over its limit; the text says which operation.
    """
    operations, turn = [], Turn()
    for number, line in enumerate(_LINE.finditer(memoryview(lines))):
        operation = _decode_operation(line[0])
        try:
            check_key(operation.key, max_key_bytes)
        except InvalidRequest as error:
            raise InvalidRequest(f"operations[{number}]: {error}") from None
        operations.append((_write_of(operation), _precondition_of(operation)))
        turn.give_way()
    fingerprint = "" if idempotency_key is None else _fingerprint(lines)
    return Batch(operations, idempotency_key, fingerprint)


def _write_of(operation: _Operation) -> Write:
    if operation.value is UNSET:
        return Write("delete", operation.key)
    return Write("put", operation.key, operation.value.copy())


def _precondition_of(operation: _Operation) -> Precondition:
    if operation.if_match is operation.if_none_match is None:
        return ALWAYS
    return Precondition.of(_versions(operation.if_match), _versions(operation.if_none_match))


def _versions(condition: int | Literal["*"] | None) -> Versions:
    return frozenset((condition,)) if isinstance(condition, int) else condition


def _fingerprint(lines: Raw) -> str:
    def digest() -> str:
        return hashlib.sha256(memoryview(lines)).hexdigest()

    return get_hub().threadpool.apply(digest) if is_large(lines) else digest()
