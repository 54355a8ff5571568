"""What the leader makes of a peer that is no proper follower."""

import socket
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat

import pytest

from kvstore.core.errors import TransportError
from kvstore.core.messages import BODY_LIMIT, Answer, Fetch, Hello, encode
from kvstore.http.http_transport import HttpTransport

HELLO = Hello(epoch=0, reign_id="")
FETCH = Fetch(epoch=0, reign_id="", offset=0)
ANSWER = Answer(node_id="n", cluster_id=None, epoch=0, reign_id=None, last_index=0, last_epoch=0)
PART = b"x" * 65536
SENT_AT_MOST = 2 * BODY_LIMIT
TIMEOUT_S = 60.0
"""A bound in bytes must end the exchange long before."""


@contextmanager
def peer(head: bytes, parts: Iterable[bytes]) -> Iterator[tuple[HttpTransport, threading.Event]]:
    """Answers one request with a head and as much of a stream as is taken from it.

    :return: the transport to it, and whether that has left before the end.
    """
    left = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(TIMEOUT_S)
            connection.recv(65536)
            try:
                connection.sendall(head)
                sent = 0
                for part in parts:
                    if sent >= SENT_AT_MOST:
                        return
                    connection.sendall(part)
                    sent += len(part)
            except ConnectionError:
                left.set()

    with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as pool:
        serving = pool.submit(serve)
        yield HttpTransport(f"127.0.0.1:{listener.getsockname()[1]}", TIMEOUT_S), left
        serving.result()


OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
HEAD_SAID, BODY_SAID = "headers are larger than 256 KiB", "the answer is larger than 64 MiB"
ENDLESS: dict[str, tuple[bytes, bytes, str]] = {
    "with a length": (OK + b"Content-Length: %d\r\n\r\n" % (1 << 40), PART, BODY_SAID),
    "without a length": (OK + b"\r\n", PART, BODY_SAID),
    "in chunks": (CHUNKED, b"%x\r\n%b\r\n" % (len(PART), PART), BODY_SAID),
    "in one chunk": (CHUNKED + b"fffffffff\r\n", PART, BODY_SAID),
    "in tiny chunks": (CHUNKED, b"1\r\nx\r\n" * 10_000, HEAD_SAID),
    "with trailers": (CHUNKED + b"0\r\n", b"X: y\r\n" * 1000, HEAD_SAID),
    "with one trailer": (CHUNKED + b"0\r\nX: ", PART, HEAD_SAID),
    "of another status": (b"HTTP/1.1 500 Oh\r\n\r\n", PART, BODY_SAID),
    "with headers": (OK, b"X: y\r\n" * 1000, HEAD_SAID),
    "with one header": (OK + b"X: ", PART, HEAD_SAID),
    "with a reason": (b"HTTP/1.1 200 ", PART, HEAD_SAID),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_an_answer_without_end_is_left(kind: str) -> None:
    head, part, said = ENDLESS[kind]
    with peer(head, repeat(part)) as (transport, left):
        with pytest.raises(TransportError, match=said):
            transport.send(HELLO, lambda: True)
        with pytest.raises(TransportError, match="the connection was closed"):
            transport.send(FETCH, lambda: True)
    assert left.is_set()


def test_the_largest_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.http.http_transport.randrange", lambda _: ANSWER.number)
    text = encode(ANSWER)
    head = OK + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT
    with peer(head, [text, b" " * (BODY_LIMIT - len(text))]) as (transport, _):
        assert transport.send(HELLO, lambda: True) == ANSWER
        transport.close()


@pytest.mark.parametrize(
    "address", ["a..b:5000", f"{'a' * 70}:5000", "[::1", "x:99999", "x:abc", "localhost"]
)
def test_an_address_that_nobody_can_have_is_not_reached(address: str) -> None:
    transport = HttpTransport(address, 1.0)
    with pytest.raises(TransportError):
        transport.send(HELLO, lambda: True)
