"""How the client judges answers that a real node gives only at rare moments."""

from contextlib import closing

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
        ((OPEN, (400, {"error": "the key is longer than 1 byte"})), 7),
        ((HANG_UP, CHANGED), None),
        (((200, {"not": "a node's"}),), None),
        (((503, b"<h1>no backend</h1>"),), None),
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
        (((400, {"error": "the key is longer than 1 byte"}),), 400),
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


STRANGE: list[Answer] = [
    (404, b"<h1>Not Found</h1>"),
    (405, {}),
    (302, {}),
    (200, {"found": True, "value": 2, "version": 9}),
]
"""What another server says that has a node's port by now."""


@pytest.mark.parametrize("strange", STRANGE[:3])
def test_a_server_that_is_no_node_refuses_nothing(strange: Answer) -> None:
    with (
        ScriptedServer({"/put/k": [strange]}) as other,
        ScriptedServer({"/put/k": [DONE]}) as node,
    ):
        with Client([other.url, node.url], timeout_s=5) as client:
            assert client.put("k", 1).version == 7
        with (
            Client(other.url, timeout_s=0.3) as client,
            pytest.raises(NodeUnavailableError, match="not a node's answer"),
        ):
            client.put("k", 1)


@pytest.mark.parametrize("strange", STRANGE)
def test_a_server_that_is_no_node_is_not_read_from(strange: Answer) -> None:
    found: Answer = (200, {"found": True, "value": 1, "version": 7}, {"Applied-Index": "7"})
    with (
        ScriptedServer({"/get/k": [strange]}) as other,
        ScriptedServer({"/get/k": [found]}) as node,
        Client([other.url, node.url], timeout_s=5, prefer_followers=True) as client,
    ):
        assert [client.get("k") for _ in range(5)] == [(1, 7)] * 5


def test_an_event_that_is_cut_short_is_not_shown() -> None:
    def event(index: int) -> bytes:
        change = b'{"index":%d,"operation":"put","key":"k","value":[1]}' % index
        return b"id: %d\ndata: %b\n\n" % (index, change)

    parts = [event(2) + event(3)[:-1], event(3)[:-2], event(3)[:-5], event(3)[:3], event(3)]
    streams: list[Answer] = [(200, part, {"Content-Type": "text/event-stream"}) for part in parts]
    page: Answer = (200, b"data: 1\n\n", {"Content-Type": "text/plain"})
    with (
        ScriptedServer({"/watch": [page, *streams]}) as server,
        Client(server.url, timeout_s=5) as client,
        closing(client.watch(1)) as changes,
    ):
        assert [next(changes).index for _ in range(2)] == [2, 3]
        places = [each.path.partition("=")[2] for each in server.requests]
        assert places == ["1", "1", "2", "2", "2", "2"]


@pytest.mark.parametrize("url", ["http://h:99999", "http://h:x", "http://h:0", "http://", "h:1"])
def test_what_is_no_url_of_a_node_is_refused_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="is not the URL of a node"):
        Client(url)
