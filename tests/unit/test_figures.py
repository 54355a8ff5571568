"""What ``/metrics`` is counted with."""

import pytest
from msgspec import Raw

from kvstore.core.entries import Entry, Item
from kvstore.core.key_value_map import KeyValueMap
from kvstore.http.request_figures import OTHER, route_of
from kvstore.node.figures import Distribution


def test_a_value_counts_under_the_first_bound_that_is_not_below_it() -> None:
    distribution = Distribution((1, 2, 5))
    for value in (0, 1, 1.5, 5, 6):
        distribution.add(value)
    assert distribution.counts == [2, 1, 1, 1]
    assert distribution.sum == 13.5


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/put/a", "/put/{key}"),
        ("/get/a/b", "/get/{key}"),
        ("/kv/é", "/kv/{key}"),
        ("/batch", "/batch"),
        ("/replicate", "/replicate"),
        ("/replicate/claim", "/replicate/claim"),
        ("/admin/store", "/admin/store"),
        ("/put/{key}", "/put/{key}"),
        ("/put", OTHER),
        ("/admin/x", OTHER),
        ("/", OTHER),
        ("", OTHER),
    ],
)
def test_a_request_counts_for_its_route_whatever_its_key(path: str, route: str) -> None:
    assert route_of(path) == route


def test_the_map_knows_its_size() -> None:
    def entry(index: int, key: str, value: bytes | None) -> Entry:
        if value is None:
            return Entry(index=index, epoch=1, reign_id="r", operation="delete", key=key)
        return Entry(index=index, epoch=1, reign_id="r", operation="put", key=key, value=Raw(value))

    kv_map = KeyValueMap()
    for step in (
        entry(1, "a", b"1"),
        entry(2, "a", b'"longer"'),
        entry(3, "b", b"2"),
        entry(4, "b", None),
        entry(5, "c", None),
    ):
        kv_map.apply(step)
    [item] = kv_map.items()
    assert kv_map.size == item.size > 0
    kv_map.add([Item("a", 6, item.value), Item("d", 7, item.value)], [])
    assert kv_map.size == sum(each.size for each in kv_map.items())
    assert KeyValueMap(items=kv_map.items()).size == kv_map.size
