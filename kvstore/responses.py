"""JSON responses, and the one table from error to HTTP status."""

from typing import Any

import msgspec
from flask import Response
from werkzeug.exceptions import HTTPException

from kvstore import errors

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
    errors.NotApplied: 504,
}
RETRY_AFTER_S = 1

_encode = msgspec.json.Encoder().encode


def json_response(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A JSON answer.

    :param body: anything msgspec encodes; :class:`msgspec.Raw` goes in as it is.
    """
    return Response(_encode(body), status, headers, content_type="application/json")


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
