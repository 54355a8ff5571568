"""JSON responses, and the one table from error to HTTP status."""

from collections.abc import Iterator
from typing import Any

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

from kvstore.core import errors
from kvstore.core.entries import Item
from kvstore.node.turn import Turn

STATUS: dict[type[errors.KvstoreError], int] = {
    errors.InvalidRequest: 400,
    errors.Unauthorized: 401,
    errors.Forbidden: 403,
    errors.NotLeader: 403,
    errors.NotFollower: 403,
    errors.RequestTimeout: 408,
    errors.NothingToForce: 409,
    errors.PreconditionFailed: 412,
    errors.TooLarge: 413,
    errors.KeyReused: 422,
    errors.NotReady: 503,
    errors.WriteRefused: 503,
    errors.NotEnoughFollowers: 503,
    errors.Overloaded: 503,
    errors.QuorumNotReached: 504,
    errors.OutcomeUnknown: 504,
    errors.NotApplied: 504,
}
RETRY_AFTER_S = 1

LARGE_VALUE_BYTES = 64 << 10
"""A value above that is sent in parts, and hashed where the loop does not wait."""
_PART_BYTES = 1 << 20

_encode = msgspec.json.Encoder().encode


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer.

    :param body: anything msgspec encodes; :class:`msgspec.Raw` goes in as it is.
    """
    return Response(_encode(body), status, headers, content_type="application/json")


def item_response(item: Item, headers: dict[str, str]) -> Response:
    """The answer that shows an item."""
    if not is_large(item.value):
        return json_response(
            {"found": True, "value": item.value, "version": item.version}, 200, headers
        )
    head, tail = b'{"found":true,"value":', b',"version":%d}' % item.version
    size = len(head) + len(memoryview(item.value)) + len(tail)

    def parts() -> Iterator[bytes]:
        yield head
        yield from value_parts(item.value)
        yield tail

    headers = {**headers, "Content-Length": str(size)}
    return Response(parts(), 200, headers, content_type="application/json")


def is_large(value: msgspec.Raw) -> bool:
    """Whether a value is too large to be dealt with as a whole."""
    return len(memoryview(value)) > LARGE_VALUE_BYTES


def value_parts(value: msgspec.Raw) -> Iterator[bytes]:
    """A value, part by part, with turns for others between them."""
    view = memoryview(value)
    turn = Turn()
    for begin in range(0, len(view), _PART_BYTES):
        yield bytes(view[begin : begin + _PART_BYTES])
        turn.give_way()


def error_response(error: errors.KvstoreError) -> Response:
    """The answer to a request that ended in one of this package's errors."""
    body: dict[str, Any] = {"error": str(error)}
    headers = {}
    match error:
        case errors.NotLeader():
            body["leader"] = error.leader
        case errors.Unauthorized():
            headers["WWW-Authenticate"] = "Bearer"
        case errors.PreconditionFailed():
            body["version"] = error.version
        case errors.WriteRefused():
            body = {"status": "error", "reason": str(error), "replicas_confirmed": 0}
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case errors.QuorumNotReached():
            body = {
                "status": "error",
                "reason": str(error),
                "replicas_confirmed": error.replicas_confirmed,
                "version": error.version,
            }
        case errors.OutcomeUnknown():
            body = {
                "status": "error",
                "reason": str(error),
                "replicas_confirmed": 0,
                "version": None,
            }
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case errors.NotReady():
            headers["Retry-After"] = str(RETRY_AFTER_S)
        case errors.NotApplied():
            body["applied_index"] = error.applied_index
    return json_response(body, STATUS[type(error)], headers)


def http_error_response(error: HTTPException) -> Response:
    """The answer where flask itself refuses a request; keeps headers such as ``Allow``."""
    response = error.get_response()
    text = (error.name or "error").lower()
    return json_response(
        {"error": text},
        error.code or 500,
        {name: value for name, value in response.headers if name in ("Allow", "Retry-After")},
    )
