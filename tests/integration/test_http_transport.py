"""What the leader makes of a peer that is no proper follower."""

import socket
import threading
from collections.abc import Iterator
from itertools import repeat, takewhile
from typing import Self

import pytest
from gevent.event import Event

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


class Peer:
    """Answers one request with a head and as much of a stream as is taken from it."""

    def __init__(self, head: bytes, parts: Iterator[bytes]) -> None:
        self.sent = 0
        self.left_by_client = False
        self._head = head
        self._parts = parts
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve)

    @property
    def address(self) -> str:
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(TIMEOUT_S)
            connection.recv(65536)
            try:
                connection.sendall(self._head)
                for part in takewhile(lambda _: self.sent < SENT_AT_MOST, self._parts):
                    connection.sendall(part)
                    self.sent += len(part)
            except ConnectionError:
                self.left_by_client = True


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
    with Peer(head, repeat(part)) as peer:
        transport = HttpTransport(peer.address, TIMEOUT_S)
        with pytest.raises(TransportError, match=said):
            transport.send(HELLO, Event())
        with pytest.raises(TransportError, match="the connection was closed"):
            transport.send(FETCH, Event())
    assert peer.left_by_client


def test_the_largest_answer_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kvstore.http.http_transport.randrange", lambda _: ANSWER.number)
    text = encode(ANSWER)
    head = OK + b"Content-Length: %d\r\n\r\n" % BODY_LIMIT
    with Peer(head, iter([text, b" " * (BODY_LIMIT - len(text))])) as peer:
        transport = HttpTransport(peer.address, TIMEOUT_S)
        assert transport.send(HELLO, Event()) == ANSWER
        transport.close()


@pytest.mark.parametrize(
    "address", ["a..b:5000", f"{'a' * 70}:5000", "[::1", "x:99999", "x:abc", "localhost"]
)
def test_an_address_that_nobody_can_have_is_not_reached(address: str) -> None:
    transport = HttpTransport(address, 1.0)
    with pytest.raises(TransportError):
        transport.send(HELLO, Event())
