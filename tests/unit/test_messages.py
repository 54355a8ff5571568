"""The wire format of replication."""

import msgspec
import pytest
from msgspec import Raw

from kvstore.core.entries import Item, RememberedRequest
from kvstore.core.errors import InvalidRequest
from kvstore.core.lineage import ReignStart
from kvstore.core.messages import (
    ANSWERS,
    Answer,
    Append,
    Fetch,
    Fetched,
    Hello,
    Message,
    Refusal,
    decode,
    encode,
)
from kvstore.core.records import Promise
from tests.support.replication import (
    R1,
    R2,
    URL,
    append,
    at,
    chunk,
    claim,
    delete,
    first_entry,
    header,
    hello,
    make_follower,
    naming_entry,
    put,
    reign,
)

ENTRY = put(3, "\u00e9/\x00", '{"b":1,"a":[1.0]}', R2, request="once")
ANSWER = Answer(node_id="n", cluster_id=None, epoch=2, reign_id=None, last_index=3, last_epoch=1)
MEMBERS = {"f0:1": "n0"}
EVERY_KIND: list[Message | Answer] = [
    Hello(epoch=0, reign_id=""),
    hello(reign(2, 5)),
    claim(),
    claim(R2, found=R1, members=MEMBERS),
    append(
        first_entry(1, members=MEMBERS), put(2), delete(3), naming_entry(4, MEMBERS), commit_index=1
    ),
    append(ENTRY, prev=at(2, R2), of=R2),
    chunk(
        items=[Item("k", 1, Raw(b"null"))],
        requests=[RememberedRequest("once", 1, "f")],
        members=MEMBERS,
    ),
    Fetch(**header(), offset=4),
    ANSWER,
    msgspec.structs.replace(ANSWER, error=Refusal.OTHER_REIGN),
    msgspec.structs.replace(
        make_follower("n", promise=Promise("c", reign(1, 5), URL, MEMBERS)).hello(hello()),
        lineage=[ReignStart(R1, 1)],
        number=7,
        error="no",
    ),
    Fetched(
        **msgspec.structs.asdict(ANSWER),
        base_index=1,
        items=[Item("k", 1, Raw(b"1"))],
        requests=[RememberedRequest("once", 1, "f")],
        entries=[ENTRY],
        total=3,
    ),
]


def plain(message: Message | Answer) -> object:
    """For comparison: what arrived holds its values as parts of the whole message."""
    return msgspec.json.decode(encode(message))


@pytest.mark.parametrize("message", EVERY_KIND, ids=lambda message: type(message).__name__)
def test_every_kind_comes_through_unchanged(message: Message | Answer) -> None:
    assert plain(decode(type(message), encode(message))) == plain(message)


def test_every_message_has_its_answer() -> None:
    assert set(ANSWERS) == set(Message.__subclasses__())


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest, match="invalid message"):
        decode(Append, body)


@pytest.mark.parametrize(
    "value", [b'"\xff"', b'"\xed\xa0\x80"', b"[" * 100_000 + b"]" * 100_000], ids=lambda v: v[:4]
)
def test_a_value_that_is_no_json_is_refused(value: bytes) -> None:
    body = encode(append(first_entry(1), put(2, value='"v"'))).replace(b'"v"', value)
    with pytest.raises(InvalidRequest, match="invalid message"):
        decode(Append, body)


MISSING = object()
ENTRY_FIELDS = {"index": 1, "epoch": 1, "reign": "r", "operation": "put", "key": "k"}
WRONG_FIELDS = {"index": 0, "epoch": 0, "reign": None, "operation": "drop", "key": 5}
NO_ADDRESSES = ["", "a\r\nb:1", "http://a:1", "a b:1", "a" * 300]
WRONG: list[tuple[Message, str, list[object]]] = [
    (append(first_entry()), "epoch", [-1, "1", 1.5, True, None, 2**63, MISSING]),
    (append(first_entry()), "reign", [MISSING]),
    (append(first_entry()), "prev_index", [MISSING]),
    (append(first_entry()), "prev_reign", [MISSING]),
    (append(first_entry()), "last_index", [-1]),
    (append(first_entry()), "commit_index", [-1]),
    (append(first_entry()), "cluster", [1]),
    (
        append(first_entry()),
        "entries",
        [MISSING, *([{**ENTRY_FIELDS, name: value}] for name, value in WRONG_FIELDS.items())],
    ),
    (chunk(), "items", [[["k", 1]], [["k", -1, 2]], "k"]),
    (chunk(), "index", [None, -1]),
    (chunk(), "lineage", [[["r1", 1]]]),
    (chunk(), "done", ["yes"]),
    (claim(), "epoch", [2**63]),
    (claim(), "restart", [-1]),
    (claim(), "leader", [1]),
    (claim(), "node", [None]),
    (claim(), "found_reign", [1]),
    (claim(), "members", [{"a:1": 1}, *({address: "n"} for address in NO_ADDRESSES)]),
    (hello(), "leader", [[]]),
    (Fetch(**header(), offset=4), "offset", [-1]),
]


@pytest.mark.parametrize(
    ("message", "name", "value"),
    [(message, name, value) for message, name, values in WRONG for value in values],
)
def test_malformed_fields_are_refused(message: Message, name: str, value: object) -> None:
    document = msgspec.json.decode(encode(message))
    del document[name]
    if value is not MISSING:
        document[name] = value
    with pytest.raises(InvalidRequest, match=f"invalid message: .*{name}"):
        decode(type(message), msgspec.json.encode(document))
