"""The copy that ``GET /admin/store`` answers: complete, of one position, and made in turns."""

import json
from itertools import pairwise
from unittest.mock import Mock

import msgspec
import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from kvstore.api_types import Store
from kvstore.core import errors
from kvstore.core.entries import Item, Position
from kvstore.core.key_value_map import KeyValueMap
from kvstore.http.admin_routes import COPIES, admin_routes
from kvstore.http.responses import error_response
from kvstore.http.store_copy import Portions, StoreCopy
from kvstore.node.turn import Turn
from tests.support.replication import delete, put

CHARACTERS = st.characters(exclude_categories=["Cs"])
KEYS = st.text(CHARACTERS, max_size=5)
VALUES = st.integers() | st.text(CHARACTERS, max_size=60)
SMALL = Portions(run_items=3, batch_bytes=50, large_bytes=40, part_bytes=7)


def copy_in_small_portions(kv_map: KeyValueMap) -> StoreCopy:
    return StoreCopy(kv_map, SMALL, Turn(turn_s=0.0, pause_s=0.0))


def kv_map_of(values: dict[str, object]) -> KeyValueMap:
    items = [
        Item(key, version, Raw(json.dumps(value, ensure_ascii=False).encode()))
        for version, (key, value) in enumerate(values.items(), start=1)
    ]
    return KeyValueMap(Position(3, 100), items)


@settings(deadline=None)
@given(st.dictionaries(KEYS, VALUES, max_size=20))
def test_a_copy_is_the_whole_map(values: dict[str, object]) -> None:
    kv_map = kv_map_of(values)
    text = b"".join(copy_in_small_portions(kv_map).parts())
    versions = {key: version for version, key in enumerate(values, start=1)}
    store = Store(store=values, versions=versions, index=100, epoch=3, digest=kv_map.digest())
    assert msgspec.json.decode(text, type=Store) == store
    assert tuple(json.loads(text)) == Store.__struct_fields__


def test_a_copy_keeps_its_position_while_the_map_changes() -> None:
    kv_map = kv_map_of({f"key{number}": "x" * (number % 50) for number in range(60)})
    expected = b"".join(copy_in_small_portions(kv_map).parts())
    changing = []
    for number, part in enumerate(copy_in_small_portions(kv_map).parts(), start=101):
        changing.append(part)
        key = f"key{number % 90}"
        kv_map.apply(delete(number, key) if number % 3 == 0 else put(number, key, "7"))
    assert len(changing) > 100
    assert b"".join(changing) == expected
    assert b"".join(copy_in_small_portions(kv_map).parts()) != expected


def test_others_have_their_turns() -> None:
    parts: list[bytes] = []
    turns: list[int] = []
    turn = Mock(give_way=lambda: turns.append(len(parts)))
    kv_map = kv_map_of({f"key{number}": "x" * (number % 50) for number in range(300)})
    for part in StoreCopy(kv_map, SMALL, turn).parts():
        parts += [part]
    assert turns.count(1) >= 100, "behind the first part it sorts"
    assert len(parts) > 300
    assert max(after - before for before, after in pairwise([*turns, len(parts)])) <= 4


def test_a_reader_that_is_too_slow_loses_its_copy() -> None:
    parts = StoreCopy(kv_map_of({"a": 1}), start_s=-1.0).parts()
    assert next(parts) == b'{"store":{'
    with pytest.raises(ConnectionResetError, match="too slowly"):
        next(parts)


def test_so_many_copies_are_read_at_a_time() -> None:
    app = Flask(__name__)
    app.register_error_handler(errors.KvstoreError, error_response)
    node = Mock(map=kv_map_of({"a": 1}))
    app.register_blueprint(admin_routes(node, lambda _: None, copy_wait_s=0.0))
    client = app.test_client()
    reading = [client.get("/admin/store") for _ in range(COPIES)]
    refused = client.get("/admin/store")
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    reading.pop().close()
    client.head("/admin/store").close()
    reading.append(client.get("/admin/store"))
    assert [response.status_code for response in reading] == [200] * COPIES
    for response in reading:
        response.close()
