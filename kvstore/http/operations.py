"""Every operation of the API: its parameters, and the bodies of its requests and answers.

``/openapi.json`` is made from this table. The types of the bodies are in ``api_types`` or, between
nodes, in ``core/messages``. What an operation does is in the modules ``*_routes``.
"""

from typing import Any, NamedTuple

from msgspec import Struct

from kvstore import api_types as api
from kvstore.core.messages import ANSWERS, Answer
from kvstore.http.http_transport import PATHS

Json = dict[str, Any]


class Operation(NamedTuple):
    """What one method does at one path.

    :param answers: the body for each status; None = without one.
    :param errors: further statuses, of those in ``ERRORS``.
    :param parameters: names of those in :func:`parameters`.
    :param body: what the request holds; None = nothing.
    :param media: what its answer 200 is.
    """

    summary: str
    answers: dict[int, type[Struct] | None]
    errors: tuple[int, ...] = ()
    parameters: tuple[str, ...] = ()
    body: type[Struct] | None = None
    media: str = "application/json"


_WRITE: dict[int, type[Struct] | None] = {200: api.Written, 503: api.Refused, 504: api.OutcomeOpen}
_WRITE_ERRORS = (403, 412, 413, 422)
_WRITE_PARAMETERS = ("key", "if_match", "if_none_match", "idempotency_key")
_PROTECTED = (401, 403)

_PUT = Operation("Write a value", _WRITE, _WRITE_ERRORS, _WRITE_PARAMETERS, api.PutBody)
_BATCH = Operation(
    "Write and delete up to 1,000 keys; all of it enters the log, or nothing",
    {200: api.BatchWritten, 412: api.BatchRefused, 503: api.Refused, 504: api.OutcomeOpen},
    (403, 413, 422),
    ("idempotency_key",),
    api.BatchBody,
)
_DELETE = Operation(
    "Delete a key, whether or not it exists", _WRITE, _WRITE_ERRORS, _WRITE_PARAMETERS
)
_GET = Operation(
    "Read a value: the leader's newest confirmed one, or what a follower holds",
    {200: api.Found, 304: None, 404: api.NotFound, 504: api.NotApplied},
    (412, 503),
    ("key", "min_version", "if_match", "if_none_match"),
)
_SET_QUORUM = Operation(
    "Change W, also for pending writes", {200: api.Quorum}, (*_PROTECTED, 413), body=api.Quorum
)
_SET_DELAY = Operation(
    "Change the simulated delay", {200: api.Delay}, (*_PROTECTED, 413), body=api.Delay
)
_EXCHANGES = Operation(
    "What was lately replicated: the newest 20,000 replication requests and when they were sent "
    "and acknowledged",
    {200: api.Exchanges},
    _PROTECTED,
    ("after",),
)
_FORCE_START = Operation(
    "Decide where the leader cannot: take over without the nodes that do not answer, or after "
    "another leader; may lose confirmed writes",
    {200: api.Forced},
    (*_PROTECTED, 409, 413),
    body=api.ForceStart,
)
_WATCH = Operation(
    "Watch the confirmed entries, as server-sent events: the id of each is its index, its data a "
    "Change. They begin behind Last-Event-ID, else behind from, else now",
    {200: api.Change, 410: api.EntriesCut},
    (503,),
    ("from", "last_event_id"),
    media="text/event-stream",
)
_METRICS = Operation(
    "What the node counts, in the text format of Prometheus",
    {200: None},
    _PROTECTED,
    media="text/plain",
)
_STORE = Operation("Copy everything that this node serves", {200: api.Store}, (*_PROTECTED, 503))

OPERATIONS: dict[str, dict[str, Operation]] = {
    "/put/{key}": {"put": _PUT, "post": _PUT},
    "/get/{key}": {"get": _GET},
    "/delete/{key}": {"delete": _DELETE},
    "/kv/{key}": {"get": _GET, "put": _PUT, "delete": _DELETE},
    "/batch": {"post": _BATCH},
    "/watch": {"get": _WATCH},
    "/admin/set_quorum": {"post": _SET_QUORUM},
    "/admin/set_delay": {"post": _SET_DELAY},
    "/admin/exchanges": {"get": _EXCHANGES},
    "/admin/store": {"get": _STORE},
    "/admin/force_start": {"post": _FORCE_START},
    "/livez": {"get": Operation("Whether the node runs", {200: api.Live})},
    "/readyz": {
        "get": Operation(
            "Whether the node may serve its role", {200: api.Readiness, 503: api.Readiness}
        )
    },
    "/metrics": {"get": _METRICS},
    "/status": {"get": Operation("What the node is and does", {200: api.Status})},
    "/openapi.json": {"get": Operation("This document", {200: api.Document})},
    **{
        path: {
            "post": Operation(
                f"From the leader to a follower: {kind.__name__}",
                {200: ANSWERS[kind], 409: Answer, 503: api.Refused},
                (*_PROTECTED, 413),
                body=kind,
            )
        }
        for kind, path in PATHS.items()
    },
}
"""By path and method. HEAD is answered wherever GET is."""

ERRORS: dict[int, tuple[str, tuple[type[Struct], ...]]] = {
    400: ("The request is malformed", (api.Error,)),
    401: ("The cluster's bearer token is missing or wrong", (api.Error,)),
    403: (
        "This node has another role, or the caller's address may not use this route",
        (api.NotLeader, api.Error),
    ),
    408: ("The request did not arrive in time", (api.Error,)),
    409: ("There is nothing to decide", (api.Error,)),
    412: ("The key has another version", (api.PreconditionFailed,)),
    413: ("The body, or the value, is too large", (api.Error,)),
    414: ("The request line is too long", (api.Error,)),
    417: ("Expect can only be 100-continue", (api.Error,)),
    422: ("The idempotency key was used with another payload", (api.Error,)),
    431: ("The headers are too large", (api.Error,)),
    503: ("This node cannot serve reads now", (api.Error,)),
}
EVERYWHERE = (400, 408, 414, 417, 431)
"""Errors of every route."""

_ETAG = {"ETag": {"description": "The key's version, in quotes", "schema": {"type": "string"}}}
_RETRY_AFTER = {"Retry-After": {"description": "Seconds", "schema": {"type": "integer"}}}
_APPLIED = {
    api.APPLIED_INDEX: {
        "description": "What index the node had applied",
        "schema": {"type": "integer"},
    }
}
HEADERS: dict[type[Struct] | int | None, Json] = {
    api.Written: _ETAG,
    api.Found: _ETAG | _APPLIED,
    api.NotFound: _APPLIED,
    None: _ETAG | _APPLIED,
    api.Refused: _RETRY_AFTER,
    api.OutcomeOpen: _RETRY_AFTER,
    401: {"WWW-Authenticate": {"schema": {"type": "string"}}},
    503: _RETRY_AFTER,
}
"""Of a body's type, or of an error's status."""


def parameters(max_key_bytes: int) -> Json:
    """The parameters, as OpenAPI has them.

    :param max_key_bytes: limit of a key.
    """
    tags = {"type": "string", "pattern": r'^(\*|[ \t,]*((W/)?"[^"]*"[ \t]*(,[ \t,]*|$))*)$'}
    rows: dict[str, tuple[str, str, str, Json, Any]] = {
        "key": (
            "path",
            "key",
            f"Any text of up to {max_key_bytes} bytes of UTF-8, percent-encoded except for slashes",
            {"type": "string", "minLength": 1, "maxLength": max_key_bytes},
            "colour",
        ),
        "min_version": (
            "query",
            "min_version",
            "Wait until the node has applied this index",
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18},
            1,
        ),
        "after": (
            "query",
            "after",
            "Only exchanges with a greater number",
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18},
            0,
        ),
        "from": (
            "query",
            "from",
            "The index behind which to begin",
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18},
            0,
        ),
        "last_event_id": (
            "header",
            "Last-Event-ID",
            "The index behind which to resume, instead of from",
            {"type": "string", "pattern": "^[0-9]{0,18}$"},
            "0",
        ),
        "if_match": ("header", "If-Match", "The versions the key may have; * = any", tags, '"7"'),
        "if_none_match": (
            "header",
            "If-None-Match",
            "The versions the key must not have; * = any",
            tags,
            '"7"',
        ),
        "idempotency_key": (
            "header",
            "Idempotency-Key",
            "A write that is repeated with the same key makes no second entry",
            {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "order-1001",
        ),
    }
    return {
        name: {
            "in": place,
            "name": wire_name,
            "description": description,
            "required": place == "path",
            "schema": schema,
            "example": example,
        }
        for name, (place, wire_name, description, schema, example) in rows.items()
    }
