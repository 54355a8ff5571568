"""JSON responses, and the one table from error to HTTP status."""

import logging
from collections.abc import Iterator

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

from kvstore import api_types
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
    errors.EntriesCut: 410,
    errors.PreconditionFailed: 412,
    errors.BatchRefused: 412,
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
"""A larger value is sent in parts, and hashed in a thread."""
PART_BYTES = 1 << 20

logger = logging.getLogger("kvstore")

_encode = msgspec.json.Encoder().encode


def json_response(
    body: msgspec.Struct, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A JSON answer.

    :param body: one of ``api_types``, or an answer between nodes; :class:`msgspec.Raw` in it goes
        out as it is.
    """
    return Response(_encode(body), status, headers, content_type="application/json")


def item_response(item: Item, headers: dict[str, str]) -> Response:
    """The answer that shows an item."""
    if not is_large(item.value):
        found = api_types.Found(found=True, value=item.value, version=item.version)
        return json_response(found, 200, headers)
    head, tail = b'{"found":true,"value":', b',"version":%d}' % item.version
    size = len(head) + len(item.value) + len(tail)

    def parts() -> Iterator[bytes]:
        yield head
        yield from value_parts(item.value, Turn())
        yield tail

    headers = {**headers, "Content-Length": str(size)}
    return Response(parts(), 200, headers, content_type="application/json")


def is_large(value: msgspec.Raw, limit: int = LARGE_VALUE_BYTES) -> bool:
    """Whether a value is too large to be handled in one piece."""
    return len(value) > limit


def value_parts(value: msgspec.Raw, turn: Turn, part_bytes: int = PART_BYTES) -> Iterator[bytes]:
    """A value, part by part; other requests run between the parts."""
    view = memoryview(value)
    for begin in range(0, len(view), part_bytes):
        yield bytes(view[begin : begin + part_bytes])
        turn.give_way()


def error_response(error: errors.KvstoreError) -> Response:
    """The answer to a request that ended in one of this package's errors."""
    headers = {}
    if isinstance(error, errors.Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    elif isinstance(error, errors.NotReady | errors.WriteRefused | errors.OutcomeUnknown):
        headers["Retry-After"] = str(RETRY_AFTER_S)
    return json_response(_error_body(error), STATUS[type(error)], headers)


def _error_body(error: errors.KvstoreError) -> msgspec.Struct:
    text = str(error)
    body: msgspec.Struct = api_types.Error(text)
    match error:
        case errors.NotLeader():
            body = api_types.NotLeader(text, error.leader_url)
        case errors.EntriesCut():
            body = api_types.EntriesCut(text, error.index)
        case errors.PreconditionFailed():
            body = api_types.PreconditionFailed(text, error.version)
        case errors.BatchRefused():
            judged = [api_types.Judged(*outcome) for outcome in error.outcomes]
            body = api_types.BatchRefused(text, judged)
        case errors.NotApplied():
            body = api_types.NotApplied(text, error.applied_index)
        case errors.WriteRefused():
            body = api_types.Refused(reason=text, replicas_confirmed=0)
        case errors.QuorumNotReached():
            body = api_types.OutcomeOpen(
                reason=text, replicas_confirmed=error.replicas_confirmed, version=error.version
            )
        case errors.OutcomeUnknown():
            body = api_types.OutcomeOpen(reason=text, replicas_confirmed=0, version=None)
    return body


def http_error_response(error: HTTPException) -> Response:
    """The answer where flask itself refuses a request; keeps headers such as ``Allow``."""
    response = error.get_response()
    text = (error.name or "error").lower()
    return json_response(
        api_types.Error(text),
        error.code or 500,
        {name: value for name, value in response.headers if name in ("Allow", "Retry-After")},
    )


def internal_error_response(error: Exception) -> Response:
    """The answer where the node itself is at fault; what happened is in its log."""
    logger.error("a request failed", exc_info=error)
    return json_response(api_types.Error("internal server error"), 500)
