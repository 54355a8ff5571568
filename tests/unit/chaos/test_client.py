"""What an answer means: confirmed, refused, or open. A wrong guess would hide or invent faults."""

import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from analysis.nodes.node import Node
from tests.chaos.client import Client, Write
from tests.chaos.history import Operation, Precondition, read_history
from tests.chaos.recorder import Recorder
from tests.support.scripted_server import HANG_UP, Answer, ScriptedServer
from tests.unit.chaos.samples import CAMPAIGN, IF_ABSENT

OK: Answer = (200, {"status": "ok", "key": "k", "version": 7, "replicas_confirmed": 2})
LATE: Answer = (504, {"status": "error", "version": 7, "replicas_confirmed": 0})
BUSY: Answer = (503, {"status": "error", "replicas_confirmed": 0})
TIMEOUT_S = 10.0


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    with Recorder(tmp_path / "history.jsonl", CAMPAIGN) as recorder:
        yield recorder


def node_at(port: int) -> Node:
    return Node("leader", "leader", port, {}, Path("unused"))


def client(recorder: Recorder) -> Client:
    return Client("c", recorder, lambda _seconds: None)


def write(
    recorder: Recorder, script: Sequence[Answer], write: Write, attempts: int = 1
) -> tuple[Operation, ScriptedServer]:
    with recorder, ScriptedServer({"/kv/k": script}) as server:
        done = client(recorder).write(node_at(server.port), write, TIMEOUT_S, attempts)
    assert read_history(recorder.path).operations == [done], "it is recorded"
    return done, server


PUT = Write("k", "v")
REPEATABLE = Write("k", "v", idempotency_key="once")


@pytest.mark.parametrize(
    ("script", "outcome", "version"),
    [
        ([OK], "confirmed", 7),
        ([BUSY], "refused", None),
        ([(412, {"version": 3})], "refused", None),
        ([(403, {"leader": None})], "refused", None),
        ([LATE], "open", 7),
        ([(500, {})], "open", None),
        ([HANG_UP], "open", None),
    ],
    ids=["200", "503", "412", "403", "504", "500", "no answer"],
)
def test_a_write(
    recorder: Recorder, script: list[Answer], outcome: str, version: int | None
) -> None:
    done, _ = write(recorder, script, PUT)
    assert (done.outcome, done.version) == (outcome, version)
    assert (done.kind, done.value, done.node) == ("put", "v", "leader")
    assert 0 <= done.start_ns < done.end_ns


def test_a_write_that_was_never_sent_is_refused(recorder: Recorder) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    done = client(recorder).write(node_at(port), PUT, TIMEOUT_S)
    assert done.outcome == "refused"
    assert str(done.attempts[0].answer).endswith("never sent")


@pytest.mark.parametrize(
    ("script", "outcome", "version"),
    [
        ([HANG_UP, OK], "confirmed", 7),
        ([LATE, BUSY, OK], "confirmed", 7),
        ([LATE, BUSY, BUSY], "open", 7),
        ([HANG_UP, HANG_UP, (412, {"version": 3})], "open", None),
        ([BUSY], "refused", None),
    ],
    ids=[
        "confirmed by the repeat",
        "confirmed by the second repeat",
        "a refused repeat says nothing of the first request",
        "neither does one whose condition does not hold",
        "a refused first request is not repeated",
    ],
)
def test_a_repeated_write(
    recorder: Recorder, script: list[Answer], outcome: str, version: int | None
) -> None:
    done, server = write(recorder, script, REPEATABLE, attempts=3)
    assert (done.outcome, done.version) == (outcome, version)
    assert len(done.attempts) == len(server.requests) == len(script)
    assert done.start_ns == done.attempts[0].start_ns
    assert done.end_ns == done.attempts[-1].end_ns
    assert all(request.headers["Idempotency-Key"] == "once" for request in server.requests)


def test_only_a_write_with_an_idempotency_key_is_repeated(recorder: Recorder) -> None:
    with pytest.raises(AssertionError):
        client(recorder).write(node_at(1), PUT, TIMEOUT_S, attempts=2)


def test_a_conditional_delete(recorder: Recorder) -> None:
    done, server = write(recorder, [OK], Write("k", None, Precondition(3, "old")))
    assert (done.kind, done.value, done.outcome) == ("delete", None, "confirmed")
    assert server.requests[0].method == "DELETE"
    assert server.requests[0].headers["If-Match"] == '"3"'


def test_a_put_where_there_must_be_nothing(recorder: Recorder) -> None:
    _, server = write(recorder, [OK], Write("k", "v", IF_ABSENT))
    assert server.requests[0].headers["If-None-Match"] == "*"


@pytest.mark.parametrize(
    ("answer", "outcome", "value", "version"),
    [
        ((200, {"found": True, "value": "v", "version": 5}), "found", "v", 5),
        ((200, {"found": True, "value": 1, "version": 5}), "found", "not text: 1", 5),
        ((404, {"found": False}), "absent", None, None),
        ((503, {"error": "not ready"}), "unavailable", None, None),
        (HANG_UP, "unavailable", None, None),
    ],
    ids=["found", "found, but no text", "absent", "not ready", "no answer"],
)
def test_a_read(
    recorder: Recorder,
    answer: Answer,
    outcome: str,
    value: str | None,
    version: int | None,
) -> None:
    with ScriptedServer({"/kv/k": [answer]}) as server:
        done = client(recorder).read(node_at(server.port), "k", TIMEOUT_S, min_version=4)
    assert (done.outcome, done.value, done.version) == (outcome, value, version)
    assert server.requests[0].path == "/kv/k?min_version=4"
