"""Batches: what enters the log, how it travels, and what a body may hold."""

import json
from typing import Any

import pytest
from msgspec import structs

from kvstore.core.errors import (
    BatchRefused,
    DefiniteError,
    InvalidRequest,
    KeyReused,
    Overloaded,
    TooLarge,
)
from kvstore.core.leader import Leader
from kvstore.core.leader_log import Batch, Write
from kvstore.core.messages import Append
from kvstore.core.preconditions import ALWAYS, Precondition, Versions
from kvstore.core.records import SaveEntries
from kvstore.http.batch_body import MAX_OPERATIONS, MIN_LIMIT_BYTES, operations_of
from tests.support.replication import (
    append,
    at,
    claim,
    first_entry,
    make_cluster,
    make_follower,
    next_message,
    put,
    save,
    talk,
    write,
    write_durably,
)

FIRST = 2
"""Index of the first write; the reign's own entry comes before it."""
ABSENT, PRESENT = Precondition(exists=False), Precondition(exists=True)
DELETE = Write("delete", "k")


def batch(*keys: str, request: str | None = None, fingerprint: str = "f") -> Batch:
    operations = [(write(key), ALWAYS) for key in keys]
    return Batch(operations, request, "" if request is None else fingerprint)


def indexes(message: Append) -> list[int]:
    return [entry.index for entry in message.entries]


# In the log


def test_a_batch_enters_the_log_in_its_order_and_in_one_record() -> None:
    leader, _ = make_cluster()
    assert leader.propose_batch(batch("a", "b", "c", request="once"), 0.0) == FIRST + 2
    [record] = leader.take_unsaved()
    assert isinstance(record, SaveEntries)
    assert [
        (entry.index, entry.key, entry.continues, entry.request is not None)
        for entry in record.entries
    ] == [(2, "a", True, False), (3, "b", True, False), (4, "c", False, True)]


def of_k(*operations: tuple[Write, Precondition]) -> Batch:
    return Batch(operations)


NEW = Precondition(versions=frozenset({FIRST + 1}))
OLD = Precondition(versions=frozenset({FIRST}))


@pytest.mark.parametrize(
    ("refused", "holds"),
    [
        (of_k((write(), ABSENT)), [False]),
        (of_k((DELETE, OLD), (write(), ABSENT), (write(), ABSENT)), [True, True, False]),
        (of_k((write(), PRESENT), (DELETE, PRESENT), (DELETE, PRESENT)), [True, True, False]),
        (of_k((write(), OLD), (write(), OLD), (write(), ALWAYS)), [True, False, True]),
        (of_k((write(), OLD), (write(), NEW), (write(), NEW)), [True, True, False]),
    ],
)
def test_each_operation_is_judged_after_those_before_it(refused: Batch, holds: list[bool]) -> None:
    """A refused batch leaves nothing, and says which operations would have been good."""
    leader, _ = make_cluster(writes=1)
    with pytest.raises(BatchRefused) as failed:
        leader.propose_batch(refused, 0.0)
    assert failed.value.outcomes == [("k", good, FIRST) for good in holds]
    assert leader.take_unsaved() == []
    assert leader.propose(write(), 0.0, OLD) == FIRST + 1


def test_a_batch_counts_as_so_many_pending_writes() -> None:
    leader, _ = make_cluster(max_pending=3)
    leader.propose(write(), 0.0)
    with pytest.raises(Overloaded):
        leader.propose_batch(batch("a", "b", "c"), 0.0)
    leader.propose_batch(batch("a", "b"), 0.0)


def test_a_repeated_batch_is_the_same_entries() -> None:
    leader, followers = make_cluster()
    first = leader.propose_batch(batch("a", "b", request="once"), 0.0)
    for _ in range(2):  # pending, and confirmed
        assert leader.propose_batch(batch("a", "b", request="once"), 0.0) == first
        with pytest.raises(KeyReused):
            leader.propose_batch(batch("a", "b", request="once", fingerprint="g"), 0.0)
        with pytest.raises(KeyReused):
            leader.propose(write(request="once"), 0.0)
        save(leader)
        talk(leader, followers)
    assert leader.log.commit_index == leader.log.last_index == first


# On its way


def sent(leader: Leader) -> list[list[int]]:
    """The indexes in one message after the other to a follower that takes all of them."""
    progress, messages = leader.followers["f0"], []
    while progress.sent_index < leader.log.durable_index:
        messages.append(indexes(next_message(leader, "f0", Append)))
        progress.sent_index = messages[-1][-1]
    return messages


def test_a_batch_is_never_cut() -> None:
    leader, _ = make_cluster(message_entries=4)
    write_durably(leader, *"abc")
    for keys in ("de", "fghijk", "lm", "no"):
        leader.propose_batch(batch(*keys), 0.0)
    save(leader)
    assert sent(leader) == [[2, 3, 4], [5, 6], [7, 8, 9, 10, 11, 12], [13, 14, 15, 16]]


def test_a_follower_takes_no_part_of_a_batch() -> None:
    follower = make_follower("f")
    follower.claim(claim())
    follower.append(append(first_entry()))
    part = structs.replace(put(2), continues=True)
    with pytest.raises(InvalidRequest, match="within a batch"):
        follower.append(append(part, prev=at(1)))
    follower.append(append(part, put(3), prev=at(1)))
    assert follower.log.last.index == 3


# Conditions


@pytest.mark.parametrize("match", [None, "*", frozenset({1}), frozenset({2})])
@pytest.mark.parametrize("none_match", [None, "*", frozenset({1}), frozenset({2})])
@pytest.mark.parametrize("version", [None, 1])
def test_both_conditions_have_to_hold(
    match: Versions, none_match: Versions, version: int | None
) -> None:
    def lists(versions: Versions) -> bool:
        return version is not None if versions == "*" else version in (versions or ())

    expected = (match is None or lists(match)) and not lists(none_match)
    assert Precondition.of(match, none_match).holds(version) is expected


# Bodies

PUT = {"operation": "put", "key": "k", "value": 1}


def body(*operations: Any) -> bytes:
    return json.dumps({"operations": operations}).encode()


def test_a_body_becomes_a_line_for_each_operation() -> None:
    lines = operations_of(
        b'{"operations": [{"operation": "put", "key": "a\\n\\u00e9", "value": [1.50, null]},'
        b'{"if_none_match": "*", "if_match": 7.0, "key": "b", "operation": "delete"}]}',
        100,
    )
    assert lines.decode() == '["a\\né",null,null,[1.5,null]]\n["b",7,"*"]'


@pytest.mark.parametrize(
    ("wrong", "error", "text"),
    [
        (b"", InvalidRequest, "invalid JSON"),
        (b"[]", InvalidRequest, '"operations"'),
        (b"{}", InvalidRequest, '"operations"'),
        (b'{"operations": {}}', InvalidRequest, '"operations"'),
        (b'{"operations": [{}], "more": 1}', InvalidRequest, "and no more"),
        (body(), InvalidRequest, "from 1 to 1000"),
        (body(*[PUT] * (MAX_OPERATIONS + 1)), InvalidRequest, "from 1 to 1000"),
        (body(PUT, 1), InvalidRequest, r"operations\[1\]: it must be an object"),
        (body(PUT | {"if_mtch": 1}), InvalidRequest, r"operations\[0\]: .*'if_mtch'"),
        (body(PUT | {"idempotency_key": "a"}), InvalidRequest, "'idempotency_key'"),
        (body(PUT | {"operation": "noop"}), InvalidRequest, '"operation" must be'),
        (body(PUT | {"operation": ["put"]}), InvalidRequest, '"operation" must be'),
        (body(PUT | {"key": ""}), InvalidRequest, '"key" must be'),
        (body(PUT | {"key": None}), InvalidRequest, '"key" must be'),
        (body(PUT | {"key": "\ud800"}), InvalidRequest, "lone surrogate"),
        (body(PUT | {"value": "\ud800"}), InvalidRequest, "lone surrogate"),
        (body(PUT | {"operation": "delete"}), InvalidRequest, "a delete must not"),
        (body({"operation": "put", "key": "k"}), InvalidRequest, 'must have a "value"'),
        *(
            (body(PUT | {name: version}), InvalidRequest, f'"{name}" must be')
            for name in ("if_match", "if_none_match")
            for version in (None, True, -1, 1.5, "1", [1], 2**63)
        ),
        (body(PUT, PUT | {"value": "x" * 99}), TooLarge, r"operations\[1\]: the value"),
        (body(*[PUT | {"key": "x" * 2000}] * 600), TooLarge, "the batch is larger"),
    ],
)
def test_bodies_that_are_no_batch(wrong: bytes, error: type[DefiniteError], text: str) -> None:
    with pytest.raises(error, match=text):
        operations_of(wrong, 100)


def test_the_limit_of_a_batch_is_at_least_that_of_a_value() -> None:
    half = PUT | {"value": "x" * (MIN_LIMIT_BYTES // 2)}
    with pytest.raises(TooLarge, match=f"the batch is larger than {MIN_LIMIT_BYTES} bytes"):
        operations_of(body(half, half), MIN_LIMIT_BYTES)
    assert len(operations_of(body(half, half), 2 * MIN_LIMIT_BYTES)) > MIN_LIMIT_BYTES
