import json
from collections.abc import Callable
from typing import Any

import pytest

from analysis.nodes.copies import CopyDifference, compare_copies
from kvstore.api_types import Store

ANSWER = {
    "store": {"a": 1, "b": {"x": [1, 2]}, "c": None},
    "versions": {"a": 1, "b": 2, "c": 3},
    "index": 3,
    "epoch": 1,
    "digest": "d1",
}


def copy(change: Callable[[dict[str, Any]], object] = lambda _: None) -> Store:
    answer = json.loads(json.dumps(ANSWER))
    change(answer)
    return Store(**answer)


def test_equal_copies_have_no_difference_whatever_the_order_in_an_object() -> None:
    one = copy(lambda answer: answer["store"].update(b={"x": 1, "y": 2}))
    other = copy(lambda answer: answer["store"].update(b={"y": 2, "x": 1}))
    assert compare_copies(one, other).is_empty


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        (lambda a: a["store"].pop("a"), {"missing_keys": ("a",)}),
        (lambda a: a["store"].update(z=1), {"extra_keys": ("z",)}),
        (lambda a: a["store"].update(a=2), {"different_values": ("a",)}),
        (lambda a: a["store"].update(a=True), {"different_values": ("a",)}),
        (lambda a: a["store"].update(b={"x": [2, 1]}), {"different_values": ("b",)}),
        (lambda a: a["store"].update(c=0), {"different_values": ("c",)}),
        (lambda a: a["versions"].update(b=3), {"different_versions": ("b",)}),
        (lambda a: a["versions"].pop("b"), {"different_versions": ("b",)}),
        (lambda a: a["versions"].update(gone=9), {"different_versions": ("gone",)}),
        (lambda a: a.update(epoch=2), {"different_facts": ("epoch",)}),
        (lambda a: a.update(digest="d2"), {"different_facts": ("digest",)}),
    ],
)
def test_every_kind_of_damage_is_found(
    damage: Callable[[dict[str, Any]], object], found: dict[str, tuple[str, ...]]
) -> None:
    assert compare_copies(copy(), copy(damage)) == CopyDifference(**found)


def test_damage_of_several_kinds_is_described_with_numbers_and_examples() -> None:
    keys = {f"k{number}": number for number in range(7)}
    ours = copy(lambda a: a["store"].update(keys))
    theirs = copy(lambda a: a["store"].update(a=9))
    assert compare_copies(ours, theirs).describe() == (
        "missing keys: 7 (k0, k1, k2, k3, k4, ...); different values: 1 (a)"
    )
