"""The table from error to HTTP status, and what the answers say."""

import json
from typing import Any

import msgspec
import pytest
from flask import Response
from msgspec import Raw
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound

from kvstore.api_types import Found
from kvstore.core import errors
from kvstore.core.entries import Item
from kvstore.core.errors import KvstoreError
from kvstore.http.responses import (
    LARGE_VALUE_BYTES,
    STATUS,
    error_response,
    http_error_response,
    item_response,
)

NEVER_ANSWERED = {errors.TransportError, errors.SettingsError, errors.StorageError}


def leaves(kind: type[KvstoreError]) -> set[type[KvstoreError]]:
    """The errors below one that are raised as they are."""
    below = kind.__subclasses__()
    return {kind} if not below else {leaf for each in below for leaf in leaves(each)}


def body(response: Response) -> Any:
    assert response.content_type == "application/json"
    return json.loads(response.get_data())


def test_every_error_has_a_status() -> None:
    assert leaves(KvstoreError) - NEVER_ANSWERED <= STATUS.keys()


def test_client_errors_are_definite_and_time_outs_are_not() -> None:
    for kind, status in STATUS.items():
        assert issubclass(kind, errors.IndefiniteError) == (status == 504), kind


@pytest.mark.parametrize(
    ("error", "status", "expected", "headers"),
    [
        (errors.InvalidRequest("bad"), 400, {"error": "bad"}, {}),
        (errors.Unauthorized("no"), 401, {"error": "no"}, {"WWW-Authenticate": "Bearer"}),
        (
            errors.NotLeader("http://l:1"),
            403,
            {"error": "not leader", "leader": "http://l:1"},
            {},
        ),
        (errors.NotLeader(None), 403, {"error": "not leader", "leader": None}, {}),
        (
            errors.PreconditionFailed(7),
            412,
            {"error": "precondition failed", "version": 7},
            {},
        ),
        (errors.TooLarge("big"), 413, {"error": "big"}, {}),
        (
            errors.NotEnoughFollowers(),
            503,
            {"status": "error", "reason": "not enough followers", "replicas_confirmed": 0},
            {"Retry-After": "1"},
        ),
        (errors.NotReady("later"), 503, {"error": "later"}, {"Retry-After": "1"}),
        (
            errors.QuorumNotReached(12, 1),
            504,
            {
                "status": "error",
                "reason": "quorum not reached",
                "replicas_confirmed": 1,
                "version": 12,
            },
            {},
        ),
        (
            errors.NotApplied(3),
            504,
            {"error": "min_version not reached", "applied_index": 3},
            {},
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, KvstoreError) else "",
)
def test_error_answers(
    error: KvstoreError, status: int, expected: dict[str, Any], headers: dict[str, str]
) -> None:
    response = error_response(error)
    assert (response.status_code, body(response)) == (status, expected)
    assert headers.items() <= dict(response.headers).items()
    assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.parametrize(
    ("error", "status", "allow"),
    [(NotFound(), 404, None), (MethodNotAllowed(["GET", "PUT"]), 405, {"GET", "PUT"})],
)
def test_what_flask_refuses_is_json_too(
    error: HTTPException, status: int, allow: set[str] | None
) -> None:
    response = http_error_response(error)
    assert response.status_code == status
    assert set(body(response)) == {"error"}
    given = response.headers.get("Allow")
    assert (None if given is None else set(given.split(", "))) == allow


def test_value_goes_out_as_it_is_kept() -> None:
    response = item_response(Item("k", 3, Raw(b'{"b":1,"a":1.0}')), {"ETag": '"3"'})
    assert response.get_data() == b'{"found":true,"value":{"b":1,"a":1.0},"version":3}'
    assert response.headers["ETag"] == '"3"'


def test_large_value_goes_out_like_a_small_one() -> None:
    value = "x" * LARGE_VALUE_BYTES
    response = item_response(Item("k", 3, Raw(json.dumps(value).encode())), {})
    found = Found(found=True, value=value, version=3)
    assert response.get_data() == msgspec.json.encode(found)
