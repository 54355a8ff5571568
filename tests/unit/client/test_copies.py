from typing import Any

import pytest
from msgspec.structs import replace

from kvstore.api_types import Store
from kvstore.client.copies import CopyDifference, compare_copies

STORE = {"a": 1, "b": {"x": [1, 2], "y": 2}, "c": None}
VERSIONS = {"a": 1, "b": 2, "c": 3}
COPY = Store(store=STORE, versions=VERSIONS, index=3, epoch=1, digest="d1")


def test_equal_copies_have_no_difference_whatever_the_order_in_an_object() -> None:
    other = replace(COPY, store=STORE | {"b": {"y": 2, "x": [1, 2]}})
    assert compare_copies(COPY, other).is_empty


@pytest.mark.parametrize(
    ("damage", "found"),
    [
        ({"store": {"b": STORE["b"], "c": None}}, {"missing_keys": ("a",)}),
        ({"store": STORE | {"z": 1}}, {"extra_keys": ("z",)}),
        ({"store": STORE | {"a": 2}}, {"different_values": ("a",)}),
        ({"store": STORE | {"a": True}}, {"different_values": ("a",)}),
        ({"store": STORE | {"b": {"x": [2, 1], "y": 2}}}, {"different_values": ("b",)}),
        ({"store": STORE | {"c": 0}}, {"different_values": ("c",)}),
        ({"versions": VERSIONS | {"b": 3}}, {"different_versions": ("b",)}),
        ({"versions": {"a": 1, "c": 3}}, {"different_versions": ("b",)}),
        ({"versions": VERSIONS | {"gone": 9}}, {"different_versions": ("gone",)}),
        ({"index": 4, "epoch": 2}, {"different_facts": ("index", "epoch")}),
        ({"digest": "d2"}, {"different_facts": ("digest",)}),
    ],
)
def test_every_kind_of_damage_is_found(
    damage: dict[str, Any], found: dict[str, tuple[str, ...]]
) -> None:
    assert compare_copies(COPY, replace(COPY, **damage)) == CopyDifference(**found)


def test_damage_of_several_kinds_is_described_with_numbers_and_examples() -> None:
    ours = replace(COPY, store=STORE | {f"k{number}": number for number in range(7)})
    theirs = replace(COPY, store=STORE | {"a": 9})
    assert compare_copies(ours, theirs).describe() == (
        "missing keys: 7 (k0, k1, k2, k3, k4, ...); different values: 1 (a)"
    )
