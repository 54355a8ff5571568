"""What an answer means: confirmed, refused, or open. A wrong guess would hide or invent faults."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from analysis.nodes.free_ports import free_ports
from analysis.nodes.node import Node
from tests.chaos.client import ATTEMPTS, NEVER_SENT, Batch, Client, Write
from tests.chaos.history import Operation, Precondition
from tests.chaos.recorder import Recorder
from tests.support.scripted_server import HANG_UP, Answer, Request, ScriptedServer
from tests.unit.chaos.samples import CAMPAIGN, IF_ABSENT

OK: Answer = (200, {"status": "ok", "key": "k", "version": 7, "replicas_confirmed": 2})
LATE: Answer = (504, {"status": "error", "version": 7, "replicas_confirmed": 0})
BUSY: Answer = (503, {"status": "error", "replicas_confirmed": 0})
UNEQUAL: Answer = (412, {"version": 3})
TIMEOUT_S = 10.0
PUT = Write("k", "v")
REPEATABLE = Write("k", "v", idempotency_key="once")


def perform(
    script: Sequence[Answer], operate: Callable[[Client, Node], Operation]
) -> tuple[Operation, list[Request]]:
    """Have a client do one operation on a node that gives these answers."""
    recorder = Recorder(CAMPAIGN)
    with ScriptedServer({"/kv/k": script}) as server:
        node = Node("leader", "leader", server.port, {}, Path("unused"))
        done = operate(Client("c", recorder), node)
    assert recorder.history.operations == [done], "it is recorded"
    assert 0 <= done.start_ns < done.end_ns
    return done, server.requests


def write(script: Sequence[Answer], write: Write) -> tuple[Operation, list[Request]]:
    return perform(script, lambda client, node: client.write(node, write, TIMEOUT_S))


@pytest.mark.parametrize(
    ("what", "script", "outcome", "version"),
    [
        (PUT, [OK], "confirmed", 7),
        (PUT, [BUSY], "refused", None),
        (PUT, [UNEQUAL], "refused", None),
        (PUT, [(403, {"leader": None})], "refused", None),
        (PUT, [LATE], "open", 7),
        (PUT, [(500, {})], "open", None),
        (PUT, [HANG_UP], "open", None),
        # A refused repeat says nothing of the first request.
        (REPEATABLE, [HANG_UP, OK], "confirmed", 7),
        (REPEATABLE, [LATE, BUSY, OK], "confirmed", 7),
        (REPEATABLE, [LATE, BUSY, BUSY, BUSY], "open", 7),
        (REPEATABLE, [HANG_UP, HANG_UP, HANG_UP, UNEQUAL], "open", None),
        (REPEATABLE, [BUSY], "refused", None),
    ],
)
def test_a_write(what: Write, script: list[Answer], outcome: str, version: int | None) -> None:
    done, requests = write(script, what)
    assert (done.outcome, done.version) == (outcome, version)
    assert (done.kind, done.value, done.node) == ("put", "v", "leader")
    assert len(done.answers) == len(requests) == len(script) <= ATTEMPTS
    assert {request.headers.get("Idempotency-Key") for request in requests} == {
        what.idempotency_key
    }


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (
            (200, {"results": [{"version": 6}, {"version": 7}], "replicas_confirmed": 2}),
            "confirmed",
        ),
        (LATE, "open"),
    ],
)
def test_the_writes_of_a_batch_have_the_versions_in_its_order(answer: Answer, outcome: str) -> None:
    recorder = Recorder(CAMPAIGN)
    with ScriptedServer({"/batch": [answer]}) as server:
        node = Node("leader", "leader", server.port, {}, Path("unused"))
        done = Client("c", recorder).batch(node, Batch([Write("k", None), PUT]), TIMEOUT_S)
    assert recorder.history.operations == done
    assert [(each.kind, each.version, each.outcome) for each in done] == [
        ("delete", 6, outcome),
        ("put", 7, outcome),
    ]


def test_a_write_that_was_never_sent_is_refused() -> None:
    nobody = Node("leader", "leader", free_ports(1)[0], {}, Path("unused"))
    done = Client("c", Recorder(CAMPAIGN)).write(nobody, PUT, TIMEOUT_S)
    assert (done.outcome, done.answers) == ("refused", [NEVER_SENT])


@pytest.mark.parametrize(
    ("what", "method", "header"),
    [
        (Write("k", None, Precondition(3, "old")), "DELETE", ("If-Match", '"3"')),
        (Write("k", "v", IF_ABSENT), "PUT", ("If-None-Match", "*")),
    ],
)
def test_a_conditional_write(what: Write, method: str, header: tuple[str, str]) -> None:
    done, [request] = write([OK], what)
    assert (done.value, done.outcome) == (what.value, "confirmed")
    assert request.method == method
    assert header in request.headers.items()


@pytest.mark.parametrize(
    ("answer", "outcome", "value", "version"),
    [
        ((200, {"found": True, "value": "v", "version": 5}), "found", "v", 5),
        ((200, {"found": True, "value": 1, "version": 5}), "found", "not text: 1", 5),
        ((404, {"found": False}), "absent", None, None),
        ((503, {"error": "not ready"}), "unavailable", None, None),
        (HANG_UP, "unavailable", None, None),
    ],
)
def test_a_read(answer: Answer, outcome: str, value: str | None, version: int | None) -> None:
    done, [request] = perform([answer], lambda client, node: client.read(node, "k", TIMEOUT_S, 4))
    assert (done.outcome, done.value, done.version) == (outcome, value, version)
    assert request.path == "/kv/k?min_version=4"
