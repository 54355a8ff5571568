"""The tree of errors, the table of their HTTP status, and what the answers say."""

import importlib
import json
import pkgutil
from types import ModuleType
from typing import Any

import pytest
from msgspec import Raw

import kvstore
from kvstore.client import errors as client_errors
from kvstore.client.errors import ClientError
from kvstore.core import errors
from kvstore.core.entries import Item
from kvstore.core.errors import KvstoreError
from kvstore.http.responses import LARGE_VALUE_BYTES, STATUS, error_response, item_response

NEVER_ANSWERED = {
    errors.Deposed,
    errors.OldCopy,
    errors.SettingsError,
    errors.StorageError,
    errors.TransportError,
}


def below(kind: type[BaseException]) -> set[type[BaseException]]:
    return {each for child in kind.__subclasses__() for each in (child, *below(child))}


def test_every_exception_of_the_package_is_in_the_tree_that_is_drawn() -> None:
    for module in pkgutil.walk_packages(kvstore.__path__, "kvstore."):
        importlib.import_module(module.name)
    own = {each for each in below(BaseException) if each.__module__.split(".")[0] == "kvstore"}
    trees: dict[type[Exception], ModuleType] = {KvstoreError: errors, ClientError: client_errors}
    assert own == {*trees} | {each for root in trees for each in below(root)}
    for root, tree in trees.items():
        drawn = {line.strip("│├└─ ").split(" ")[0] for line in (tree.__doc__ or "").splitlines()}
        assert {each.__name__ for each in (root, *below(root))} <= drawn


def test_every_error_that_is_raised_as_it_is_has_a_status() -> None:
    leaves = {each for each in below(KvstoreError) if not each.__subclasses__()}
    assert leaves - NEVER_ANSWERED <= STATUS.keys()


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
    assert (response.status_code, response.content_type) == (status, "application/json")
    assert json.loads(response.get_data()) == expected
    assert headers.items() <= dict(response.headers).items()
    assert ("Retry-After" in response.headers) == (status == 503)


@pytest.mark.parametrize("value", ['{"b":1,"a":1.0}', f'"{"x" * LARGE_VALUE_BYTES}"'])
def test_a_value_goes_out_as_it_is_kept(value: str) -> None:
    response = item_response(Item("k", 3, Raw(value.encode())), {"ETag": '"3"'})
    assert response.get_data(as_text=True) == f'{{"found":true,"value":{value},"version":3}}'
    assert response.headers["ETag"] == '"3"'
