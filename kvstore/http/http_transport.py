"""The transport over HTTP/1.1: one kept-alive connection to each follower.

The response is parsed by geventhttpclient's parser (llhttp). Its connection pool is not used: it
checks idle sockets with ``select()``, which fails for descriptors from 1024 on.
"""

from collections.abc import Callable
from itertools import count
from random import randrange
from urllib.parse import urlsplit

import gevent
from gevent import socket
from gevent.event import Event
from gevent.hub import get_hub
from geventhttpclient.response import HTTPParseError, HTTPResponse
from msgspec.structs import replace

from kvstore.core.errors import InvalidRequest, TransportError
from kvstore.core.messages import (
    ANSWERS,
    BODY_LIMIT,
    Answer,
    Append,
    Claim,
    Fetch,
    Hello,
    Message,
    SnapshotChunk,
    decode,
    encode,
)
from kvstore.node.transport import Transport

PATHS: dict[type[Message], str] = {
    Append: "/replicate",
    Hello: "/replicate/hello",
    Claim: "/replicate/claim",
    SnapshotChunk: "/replicate/snapshot",
    Fetch: "/replicate/fetch",
}

HEAD_LIMIT = 256 << 10  # of everything in an answer but its body: head, chunk sizes, trailers

_READABLE = 1


class HttpTransport(Transport):
    """A connection to one follower.

    :param address: ``host:port``.
    :param timeout_s: for one message, connecting included.
    :param token: bearer token of the cluster; None for none.
    """

    def __init__(self, address: str, timeout_s: float, token: str | None = None) -> None:
        self._address = address
        self._timeout_s = timeout_s
        authorization = f"Authorization: Bearer {token}\r\n" if token else ""
        self._heads = {
            kind: (
                f"POST {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}"
                "Content-Type: application/json\r\nContent-Length: "
            ).encode()
            for kind, path in PATHS.items()
        }
        self._socket: socket.socket | None = None
        self._numbers = count(randrange(2**32))

    def send(self, message: Message, hold_back: Callable[[], bool]) -> Answer | None:
        message = replace(message, number=next(self._numbers))
        body = encode(message)
        request = b"%b%d\r\n\r\n%b" % (self._heads[type(message)], len(body), body)
        kind = ANSWERS[type(message)]
        timeout = gevent.Timeout(self._timeout_s)
        if not hold_back():
            return None
        try:
            with timeout:
                response = self._exchange(request, new=isinstance(message, Hello))
        except gevent.Timeout:
            self.close()
            raise TransportError(f"no answer within {self._timeout_s:g} s") from None
        except (OSError, ValueError, HTTPParseError) as error:
            # A ValueError means an impossible address, which another node has named.
            self.close()
            raise TransportError(str(error) or type(error).__name__) from None
        except BaseException:
            self.close()
            raise
        text = bytes(response.read_body())
        if response.status_code not in (200, 409):
            self.close()
            raise TransportError(f"status {response.status_code}: {text[:200]!r}")
        try:
            answer = decode(Answer if response.status_code == 409 else kind, text)
        except InvalidRequest as error:
            self.close()
            raise TransportError(f"an invalid answer: {error}") from None
        if answer.number != message.number:
            self.close()
            raise TransportError("an answer to another message")
        return answer

    def wait(self, wake: Event, timeout_s: float) -> None:
        if self._socket is None:
            wake.wait(timeout_s)
            return
        # An idle connection becomes readable only when the follower closes it: noticed here, a
        # killed follower stops counting for the quorum at once, not at the next heartbeat.
        closed = False

        def notice() -> None:
            nonlocal closed
            closed = True
            wake.set()

        self._readable.start(notice)
        try:
            wake.wait(timeout_s)
        finally:
            self._readable.stop()
        if closed:
            self.close()
            raise TransportError("the follower closed the connection")

    def close(self) -> None:
        if self._socket is not None:
            self._readable.close()
            self._socket.close()
            self._socket = None

    def _exchange(self, request: bytes, new: bool) -> "_Response":
        if self._socket is None:
            if not new:
                raise ConnectionResetError("the connection was closed")
            url = urlsplit(f"//{self._address}")
            (url.hostname or "").encode("idna")  # gevent prints what fails in the resolver's thread
            self._socket = socket.create_connection((url.hostname, url.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._readable = get_hub().loop.io(self._socket.fileno(), _READABLE)
        self._socket.sendall(request)
        # The answer is never there yet, and a receive in vain would cost other requests that are
        # due the time of it.
        get_hub().wait(self._readable)
        response = _Response("POST")
        received = 0
        while not response.message_complete:
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionResetError("the follower closed the connection")
            response.feed(data)
            received += len(data)
            body_size = len(response.read_body())
            if body_size > BODY_LIMIT:
                raise TransportError(f"the answer is larger than {BODY_LIMIT >> 20} MiB")
            if received - body_size > HEAD_LIMIT:
                raise TransportError(f"the answer's headers are larger than {HEAD_LIMIT >> 10} KiB")
        if response.should_close():
            self.close()
        return response


class _Response(HTTPResponse):
    """A response whose whole body is read at once."""

    def read_body(self) -> bytearray:
        return self._body_buffer
