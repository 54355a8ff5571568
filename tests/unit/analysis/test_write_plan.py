"""Which writes a load sends, which answers confirm them, and whether the leader holds them."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

import pytest

from analysis.study.write_plan import WritePlan, why_not_confirmed
from kvstore.api_types import Store

CONFIRMED = {"status": "ok", "key": "k", "version": 7, "replicas_confirmed": 2}


def taken(plan: WritePlan) -> list[tuple[str, int]]:
    return [(write.key, write.value) for write in iter(plan.take, None)]


@pytest.mark.parametrize(
    ("writes", "keys", "counts"),
    [(10_000, 100, {100: 100}), (10, 4, {3: 2, 2: 2}), (7, 7, {1: 7}), (3, 9, {1: 3})],
)
def test_exactly_the_writes_are_handed_out_evenly_over_the_keys(
    writes: int, keys: int, counts: dict[int, int]
) -> None:
    plan = WritePlan(writes, keys, "p-", 1)
    expected = {(key, value) for key, values in plan.values_by_key().items() for value in values}
    handed_out = taken(plan)
    assert sorted(value for _, value in handed_out) == list(range(writes))
    assert Counter(Counter(key for key, _ in handed_out).values()) == counts
    assert set(handed_out) == expected


def test_the_seed_decides_the_order() -> None:
    orders = [taken(WritePlan(200, 10, "p-", seed)) for seed in (1, 1, 2)]
    assert orders[0] == orders[1] != orders[2]


def test_a_key_is_percent_encoded_in_its_path() -> None:
    write = WritePlan(1, 1, "a/b ü?#", 1).take()
    assert write is not None
    assert write.path == "/put/a%2Fb%20%C3%BC%3F%230"
    assert unquote(write.path) == f"/put/{write.key}"


@pytest.mark.parametrize(("writes", "keys"), [(0, 1), (1, 0)])
def test_nothing_to_write_is_refused(writes: int, keys: int) -> None:
    with pytest.raises(ValueError, match="must be 1 or more"):
        WritePlan(writes, keys, "p-", 1)


@pytest.mark.parametrize("write_quorum", [None, 0, 2])
def test_a_complete_confirmation_counts(write_quorum: int | None) -> None:
    assert why_not_confirmed(200, json.dumps(CONFIRMED).encode(), "k", write_quorum) is None


@pytest.mark.parametrize(
    ("status_code", "answer", "reason"),
    [
        (0, None, "no answer: the outcome is open"),
        (504, {"reason": "quorum not reached"}, "HTTP 504: quorum not reached"),
        (403, {"error": "not leader"}, "HTTP 403: not leader"),
        (500, {}, "HTTP 500: no reason"),
        (502, "<html>", "HTTP 502: no JSON object"),
        (200, [], "HTTP 200, but no confirmation: Expected `object`"),
        (200, "<html>", "HTTP 200, but no confirmation: JSON is malformed"),
        (201, CONFIRMED, "HTTP 201: no reason"),
        (200, CONFIRMED | {"status": "error"}, "HTTP 200, but no confirmation: Invalid value"),
        (200, CONFIRMED | {"version": "7"}, "HTTP 200, but no confirmation: Expected `int`"),
        (200, CONFIRMED | {"key": "other", "version": 0}, "HTTP 200 with a wrong key, version"),
        (200, CONFIRMED | {"replicas_confirmed": 1}, "HTTP 200 with a wrong replicas_confirmed"),
    ],
)
def test_everything_else_does_not(status_code: int, answer: object, reason: str) -> None:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    body = None if answer is None else text.encode()
    assert str(why_not_confirmed(status_code, body, "k", 2)).startswith(reason)


PLAN = WritePlan(writes=20, keys=4, key_prefix="k", seed=1)
BEFORE_INDEX = 100


def leader_copy(damage: Callable[[dict[str, Any], dict[str, int]], object]) -> Store:
    values = PLAN.values_by_key()
    store: dict[str, Any] = {key: max(values[key]) for key in values} | {"older": "x"}
    versions = {key: BEFORE_INDEX + 1 + number for number, key in enumerate(values)} | {"older": 3}
    damage(store, versions)
    return Store(store=store, versions=versions, index=120, epoch=1, digest="d")


def test_everything_written_is_found() -> None:
    assert PLAN.why_not_in(leader_copy(lambda *_: None), BEFORE_INDEX) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda store, _: store.pop("k2"), "1 keys are missing"),
        (lambda store, _: store.update(k2=99), "1 keys on the leader have a value that was not"),
        (lambda store, _: store.update(k2=True), "1 keys on the leader have a value that was not"),
        (lambda store, _: store.update(k1=store["k2"]), "1 keys on the leader have a value that"),
        (lambda _, versions: versions.update(k2=100), "1 keys on the leader have a version from"),
        (lambda _, versions: versions.pop("k2"), "1 keys on the leader have a version from"),
    ],
)
def test_every_damage_is_found(
    damage: Callable[[dict[str, Any], dict[str, int]], object], problem: str
) -> None:
    (found,) = PLAN.why_not_in(leader_copy(damage), BEFORE_INDEX)
    assert found.startswith(problem)
