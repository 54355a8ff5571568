"""How the client judges answers that a real node gives only at rare moments."""

import pytest

from kvstore.client import Client, IndefiniteError, NodeUnavailableError, RefusedError
from tests.support.scripted_server import HANG_UP, Answer, ScriptedServer

REFUSED: Answer = (503, {"status": "error", "reason": "too busy", "replicas_confirmed": 0})
OPEN: Answer = (
    504,
    {"status": "error", "reason": "quorum not reached", "replicas_confirmed": 0, "version": 7},
)
CHANGED: Answer = (412, {"error": "precondition failed", "version": 8})
DONE: Answer = (200, {"status": "ok", "key": "k", "version": 7, "replicas_confirmed": 1})


def put(*answers: Answer, timeout_s: float = 0.4) -> tuple[int, list[str]]:
    """Put to a node that gives these answers.

    :return: the version, and the idempotency key of each request.
    """
    with (
        ScriptedServer({"/put/k": answers}) as server,
        Client(server.url, timeout_s=timeout_s) as client,
    ):
        written = client.put("k", 1)
        return written.version, [each.headers["Idempotency-Key"] for each in server.requests]


@pytest.mark.parametrize("first", [REFUSED, OPEN, HANG_UP, (500, {"error": "internal"})])
def test_an_attempt_without_a_final_answer_is_repeated_under_the_same_name(first: Answer) -> None:
    version, names = put(first, DONE, timeout_s=5)
    assert version == 7
    assert len(names) == 2
    assert names[0] == names[1]
    assert put(DONE)[1] != put(DONE)[1], "another write has another name"


@pytest.mark.parametrize(
    ("answers", "version"),
    [
        ((OPEN,), 7),
        ((HANG_UP,), None),
        ((OPEN, REFUSED), 7),
        ((OPEN, CHANGED), 7),
        ((HANG_UP, CHANGED), None),
        (((200, {"not": "a node's"}),), None),
    ],
)
def test_what_may_have_happened_stays_open(
    answers: tuple[Answer, ...], version: int | None
) -> None:
    with pytest.raises(IndefiniteError) as left_open:
        put(*answers)
    assert left_open.value.version == version


@pytest.mark.parametrize(
    ("answers", "status"),
    [
        ((REFUSED,), 503),
        ((REFUSED, CHANGED), 412),
        ((OPEN, (400, {"error": "the key is longer than 1 bytes"})), 400),
        (((403, {"error": "this route serves private addresses only"}),), 403),
    ],
)
def test_what_was_refused_is_definite(answers: tuple[Answer, ...], status: int) -> None:
    with pytest.raises(RefusedError) as refused:
        put(*answers)
    assert refused.value.status == status


def test_the_leader_that_a_node_names_is_asked_next() -> None:
    with ScriptedServer({"/put/k": [DONE]}) as leader:
        named = (403, {"error": "not leader", "leader": leader.url + "/"})
        with (
            ScriptedServer({"/put/k": [named]}) as first,
            ScriptedServer({"/put/k": [named]}) as second,
            Client([first.url, second.url], timeout_s=5) as client,
        ):
            client.put("k", 1)
            client.put("k", 1)
            asked = [len(server.requests) for server in (first, second, leader)]
    assert asked == [1, 0, 2]


def test_a_leader_that_is_named_and_gone_does_not_hide_the_others() -> None:
    gone = "http://127.0.0.1:9"
    named = (403, {"error": "not leader", "leader": gone})
    with (
        ScriptedServer({"/put/k": [named]}) as follower,
        ScriptedServer({"/put/k": [DONE]}) as leader,
        Client([follower.url, leader.url], timeout_s=5) as client,
    ):
        assert client.put("k", 1).version == 7


def test_without_a_leader_nothing_was_sent_that_could_be_done() -> None:
    nobody = (403, {"error": "not leader", "leader": None})
    with pytest.raises(NodeUnavailableError, match="not leader"):
        put(nobody)
