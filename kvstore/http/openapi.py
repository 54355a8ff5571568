"""What the HTTP API is, as an OpenAPI 3.1 document: the answer to ``GET /openapi.json``.

The messages between nodes come from their types; the rest is written here, each thing once.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from flask import Blueprint, Response

from kvstore.core.messages import ANSWERS
from kvstore.http.http_transport import PATHS
from kvstore.http.responses import json_response

Json = dict[str, Any]

_EVERYWHERE = (400, 408, 414, 417, 431)
_WITH_BODY = (*_EVERYWHERE, 413)
_PROTECTED = (401, 403)


def openapi_api(max_key_bytes: int) -> Blueprint:
    """Build the route."""
    api = Blueprint("openapi", __name__)
    document = openapi_document(max_key_bytes)

    @api.get("/openapi.json")
    def openapi() -> Response:
        return json_response(document)

    return api


def openapi_document(max_key_bytes: int) -> Json:
    """The whole document.

    :param max_key_bytes: limit of a key.
    """
    paths = {**_client_paths(), **_admin_paths(), **_health_paths(), **_replication_paths()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "kvstore",
            "version": "1",
            "description": "A key-value store with single-leader replication and a write quorum.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "paths": {path: _with_head(operations) for path, operations in paths.items()},
        "components": {
            "schemas": _SCHEMAS | _message_schemas(),
            "responses": {str(status): answer for status, answer in _ERRORS.items()},
            "parameters": _parameters(max_key_bytes),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Asked for where CLUSTER_TOKEN is set. Where it is not, callers "
                    "need a loopback or private address.",
                }
            },
        },
    }


# Paths


def _client_paths() -> dict[str, Json]:
    put = _operation(
        "Write a value",
        {200: _WRITTEN, 503: _REFUSED, 504: _QUORUM_NOT_REACHED},
        (*_WITH_BODY, 403, 412, 422),
        parameters=_WRITE_PARAMETERS,
        body=_object({"value": {}}, more=True),
    )
    delete = _operation(
        "Delete a key, also one that is not there",
        {200: _WRITTEN, 503: _REFUSED, 504: _QUORUM_NOT_REACHED},
        (*_WITH_BODY, 403, 412, 422),
        parameters=_WRITE_PARAMETERS,
    )
    get = _operation(
        "Read a value: the leader's newest confirmed one, or what a follower holds",
        {
            200: _answer("The value", _ref("Found"), ETag=_ETAG),
            304: {"description": "Not changed since If-None-Match", "headers": {"ETag": _ETAG}},
            404: _answer("There is no such key", _object({"found": {"const": False}})),
            504: _answer(
                "min_version was not reached within REPL_TIMEOUT",
                _object({"error": _TEXT, "applied_index": _INDEX}),
            ),
        },
        (*_EVERYWHERE, 412, 503),
        parameters=("key", "min_version", "if_match", "if_none_match"),
    )
    return {
        "/put/{key}": {"put": put, "post": put},
        "/get/{key}": {"get": get},
        "/delete/{key}": {"delete": delete},
        "/kv/{key}": {"get": get, "put": put, "delete": delete},
    }


def _admin_paths() -> dict[str, Json]:
    delay = {"type": "number", "minimum": 0}
    quorum = _object({"quorum": {"type": "integer", "minimum": 0}})
    delays = _object({"min_ms": delay, "max_ms": delay})
    return {
        "/admin/set_quorum": {
            "post": _protected(
                "Change W, also for pending writes; from 0 to the number of followers",
                {200: _answer("W in force", quorum)},
                _WITH_BODY,
                body=_object(quorum["properties"], more=True),
            )
        },
        "/admin/set_delay": {
            "post": _protected(
                "Change the simulated delay; 0 <= min_ms <= max_ms < REPL_TIMEOUT must hold",
                {200: _answer("The delay in force", delays)},
                _WITH_BODY,
                body=_object(delays["properties"], more=True),
            )
        },
        "/admin/store": {
            "get": _protected(
                "Everything this node serves, at one index",
                {200: _answer("A copy", _ref("Store"))},
                (*_EVERYWHERE, 503),
            )
        },
        "/admin/force_start": {
            "post": _protected(
                "Decide where the leader cannot: take over without the nodes that do not answer, "
                "or after another leader; may lose confirmed writes",
                {
                    200: _answer("Without whom, and the risk", _ref("Forced")),
                    409: _answer("There is nothing to decide", _ref("Error")),
                },
                _WITH_BODY,
                body={"type": "object", "properties": {"keep": _maybe(_KEPT)}},
            )
        },
    }


def _health_paths() -> dict[str, Json]:
    readiness = _object(
        {
            "ready": {"type": "boolean"},
            "state": _TEXT,
            "waiting_for": _list(_TEXT),
            "problem": _maybe(_TEXT),
        }
    )
    return {
        "/livez": _get("The node runs", {200: _answer("It does", _object({"live": _TRUE}))}),
        "/readyz": _get(
            "The node may serve its role",
            {200: _answer("It may", readiness), 503: _answer("Not now", readiness)},
        ),
        "/status": _get("What the node is and does", {200: _answer("Its status", _ref("Status"))}),
        "/openapi.json": _get("This document", {200: _answer("It", {"type": "object"})}),
    }


def _replication_paths() -> dict[str, Json]:
    return {
        path: {
            "post": _protected(
                f"{_first_words(kind.__doc__)} (leader to follower)",
                {
                    200: _answer("Accepted, and durable", _ref(ANSWERS[kind].__name__)),
                    409: _answer("Refused; error says why", _ref("Answer")),
                    503: _REFUSED,
                },
                _WITH_BODY,
                body=_ref(kind.__name__),
            )
        }
        for kind, path in PATHS.items()
    }


# Parts of a path


def _operation(
    summary: str,
    answers: dict[int, Json],
    errors: Iterable[int],
    *,
    parameters: Iterable[str] = (),
    body: Json | None = None,
) -> Json:
    """One operation.

    :param answers: by status.
    :param errors: further statuses, of those in ``_ERRORS``.
    :param parameters: names of components.
    :param body: its schema; None = there is none. It may be left out where it requires nothing.
    """
    refs = {status: {"$ref": f"#/components/responses/{status}"} for status in errors}
    operation: Json = {
        "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{name}"} for name in parameters],
        "responses": {str(status): answer for status, answer in sorted((refs | answers).items())},
    }
    if body is not None:
        required = bool(body.get("required", "$ref" in body))
        operation["requestBody"] = {"required": required, "content": _json_content(body)}
    return operation


def _get(summary: str, answers: dict[int, Json]) -> Json:
    return {"get": _operation(summary, answers, _EVERYWHERE)}


def _protected(
    summary: str, answers: dict[int, Json], errors: Iterable[int], body: Json | None = None
) -> Json:
    operation = _operation(summary, answers, (*errors, *_PROTECTED), body=body)
    return operation | {"security": [{}, {"token": []}]}


def _with_head(operations: Json) -> Json:
    """Flask answers HEAD wherever it answers GET, without the body."""
    if "get" not in operations:
        return operations
    return operations | {"head": operations["get"]}


def _answer(description: str, schema: Json, **headers: Json) -> Json:
    answer: Json = {"description": description, "content": _json_content(schema)}
    return answer | {"headers": headers} if headers else answer


def _json_content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _object(members: Json, *, more: bool = False) -> Json:
    """An object with these members.

    :param more: whether others may be there too.
    """
    return {
        "type": "object",
        "properties": members,
        "required": list(members),
        **({} if more else {"additionalProperties": False}),
    }


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _ref(schema: str) -> Json:
    return {"$ref": f"#/components/schemas/{schema}"}


# Components

_TEXT: Json = {"type": "string"}
_TRUE: Json = {"const": True}
_NUMBER: Json = {"type": "number"}
_INDEX: Json = {"type": "integer", "minimum": 0}
_KEPT: Json = {
    "type": "string",
    "description": "Whose history to keep where two part: host:port, or self for the leader's own",
}
_ETAG: Json = {"description": "The key's version, in quotes", "schema": _TEXT}
_RETRY_AFTER: Json = {"description": "Seconds", "schema": {"type": "integer", "minimum": 0}}
_WRITE_PARAMETERS = ("key", "if_match", "if_none_match", "idempotency_key")

_SCHEMAS: Json = {
    "Error": _object({"error": _TEXT}),
    "NotLeader": _object({"error": {"const": "not leader"}, "leader": _maybe(_TEXT)}),
    "Written": _object(
        {
            "status": {"const": "ok"},
            "key": _TEXT,
            "version": _INDEX,
            "replicas_confirmed": _INDEX,
        }
    ),
    "Found": _object({"found": _TRUE, "value": {}, "version": _INDEX}),
    "Store": _object(
        {
            "store": {"type": "object"},
            "versions": {"type": "object", "additionalProperties": _INDEX},
            "index": _INDEX,
            "epoch": _INDEX,
            "digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
        }
    ),
    "Forced": _object({"status": {"const": "ok"}, "without": _list(_TEXT), "risk": _TEXT}),
    "Status": _object(
        {
            "role": {"enum": ["leader", "follower"]},
            "state": _TEXT,
            "epoch": _INDEX,
            "reign": _maybe(_TEXT),
            "node": _TEXT,
            "cluster": _maybe(_TEXT),
            "leader": _maybe(_TEXT),
            "last_index": _INDEX,
            "commit_index": _INDEX,
            "applied_index": _INDEX,
            "write_quorum": _maybe(_INDEX),
            "waiting_for": _list(_TEXT),
            "problem": _maybe(_TEXT),
            "discarded": _INDEX,
            "followers": _list(_ref("FollowerStatus")),
        },
        more=True,
    ),
    "FollowerStatus": _object(
        {
            "address": _TEXT,
            "node": _maybe(_TEXT),
            "state": _TEXT,
            "problem": _maybe(_TEXT),
            "match_index": _INDEX,
            "lag_entries": {"type": "integer"},
            "lag_s": _NUMBER,
            "last_contact_s": _maybe(_NUMBER),
            "entries_sent": _INDEX,
            "snapshots_sent": _INDEX,
            "delay": _object(
                {
                    "count": _INDEX,
                    "mean_drawn_ms": _NUMBER,
                    "mean_happened_ms": _NUMBER,
                    "correlation": _maybe(_NUMBER),
                }
            ),
        },
        more=True,
    ),
}

_WRITTEN = _answer("Confirmed: the leader and W followers hold it", _ref("Written"), ETag=_ETAG)
_REFUSED = _answer(
    "Refused: nothing happened, and nothing will",
    _object({"status": {"const": "error"}, "reason": _TEXT, "replicas_confirmed": {"const": 0}}),
    **{"Retry-After": _RETRY_AFTER},
)
_QUORUM_NOT_REACHED = _answer(
    "Open: it is in the log, and may still be confirmed. version is null where this leader cannot "
    "tell now whether an earlier attempt under the same idempotency key is in a log",
    _object(
        {
            "status": {"const": "error"},
            "reason": _TEXT,
            "replicas_confirmed": _INDEX,
            "version": _maybe(_INDEX),
        }
    ),
    **{"Retry-After": _RETRY_AFTER},
)

_ERRORS: dict[int, Json] = {
    400: _answer("The request is malformed", _ref("Error")),
    401: _answer(
        "The cluster's bearer token is missing or wrong",
        _ref("Error"),
        **{"WWW-Authenticate": {"schema": _TEXT}},
    ),
    403: _answer(
        "This node has another role, or the caller's address may not use this route",
        {"anyOf": [_ref("NotLeader"), _ref("Error")]},
    ),
    408: _answer("The request did not arrive in time", _ref("Error")),
    412: _answer(
        "The key has another version",
        _object({"error": _TEXT, "version": _maybe(_INDEX)}),
    ),
    413: _answer("The body, or the value, is too large", _ref("Error")),
    414: _answer("The request line is too long", _ref("Error")),
    417: _answer("Expect can only be 100-continue", _ref("Error")),
    422: _answer("The idempotency key was used with another payload", _ref("Error")),
    431: _answer("The headers are too large", _ref("Error")),
    503: _answer(
        "This node cannot serve reads now", _ref("Error"), **{"Retry-After": _RETRY_AFTER}
    ),
}


def _parameters(max_key_bytes: int) -> Json:
    tags = r'^(\*|[ \t,]*((W/)?"[^"]*"[ \t]*(,[ \t,]*|$))*)$'
    key = _parameter(
        "path",
        "key",
        f"Any text of up to {max_key_bytes} bytes of UTF-8, percent-encoded; slashes may stand as "
        "they are",
        {"type": "string", "minLength": 1, "maxLength": max_key_bytes},
        "colour",
    )
    return {
        "key": key | {"required": True},
        "min_version": _parameter(
            "query",
            "min_version",
            "Wait until the node has applied this index",
            {"type": "integer", "minimum": 0, "exclusiveMaximum": 10**18},
            1,
        ),
        "if_match": _parameter(
            "header",
            "If-Match",
            "The versions the key may have; * = any",
            {"type": "string", "pattern": tags},
            '"7"',
        ),
        "if_none_match": _parameter(
            "header",
            "If-None-Match",
            "The versions the key must not have; * = any",
            {"type": "string", "pattern": tags},
            '"7"',
        ),
        "idempotency_key": _parameter(
            "header",
            "Idempotency-Key",
            "A write that is sent again under the same one makes no second entry",
            {"type": "string", "pattern": "^[!-~]{1,255}$"},
            "order-1001",
        ),
    }


def _parameter(place: str, name: str, description: str, schema: Json, example: Any) -> Json:
    return {
        "in": place,
        "name": name,
        "description": description,
        "schema": schema,
        "example": example,
    }


def _message_schemas() -> Json:
    kinds = [*ANSWERS, *set(ANSWERS.values())]
    _, schemas = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    return {
        name: schema | {"description": _first_words(schema["description"])}
        for name, schema in schemas.items()
    }


def _first_words(docstring: str | None) -> str:
    """The sentence that a docstring begins with, without its full stop."""
    assert docstring is not None
    return " ".join(docstring.split("\n\n")[0].split()).removesuffix(".")
