"""The table from error to HTTP status, and what the answers say."""

import json
from typing import Any

import msgspec
import pytest
from flask import Response
from msgspec import Raw
from werkzeug.exceptions import MethodNotAllowed

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

NEVER_ANSWERED = {
    errors.Deposed,
    errors.OldCopy,
    errors.SettingsError,
    errors.StorageError,
    errors.TransportError,
}


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


RETRY = {"Retry-After": "1"}
LATE = {"reason": "quorum not reached", "replicas_confirmed": 1, "version": 12}
TOO_FEW = {"reason": "not enough followers", "replicas_confirmed": 0}


@pytest.mark.parametrize(
    ("error", "status", "expected", "headers"),
    [
        (errors.InvalidRequest("bad"), 400, {"error": "bad"}, {}),
        (errors.Unauthorized("no"), 401, {"error": "no"}, {"WWW-Authenticate": "Bearer"}),
        (errors.NotLeader("http://l"), 403, {"error": "not leader", "leader": "http://l"}, {}),
        (errors.NotLeader(None), 403, {"error": "not leader", "leader": None}, {}),
        (errors.PreconditionFailed(7), 412, {"error": "precondition failed", "version": 7}, {}),
        (errors.TooLarge("big"), 413, {"error": "big"}, {}),
        (errors.NotEnoughFollowers(), 503, {"status": "error", **TOO_FEW}, RETRY),
        (errors.NotReady("later"), 503, {"error": "later"}, RETRY),
        (errors.QuorumNotReached(12, 1), 504, {"status": "error", **LATE}, {}),
        (errors.NotApplied(3), 504, {"error": "min_version not reached", "applied_index": 3}, {}),
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


def test_what_flask_refuses_is_json_too() -> None:
    response = http_error_response(MethodNotAllowed(["GET", "PUT"]))
    assert response.status_code == 405
    assert set(body(response)) == {"error"}
    assert set(response.headers["Allow"].split(", ")) == {"GET", "PUT"}


def test_value_goes_out_as_it_is_kept() -> None:
    response = item_response(Item("k", 3, Raw(b'{"b":1,"a":1.0}')), {"ETag": '"3"'})
    assert response.get_data() == b'{"found":true,"value":{"b":1,"a":1.0},"version":3}'
    assert response.headers["ETag"] == '"3"'


def test_large_value_goes_out_like_a_small_one() -> None:
    value = "x" * LARGE_VALUE_BYTES
    response = item_response(Item("k", 3, Raw(json.dumps(value).encode())), {})
    found = Found(found=True, value=value, version=3)
    assert response.get_data() == msgspec.json.encode(found)
