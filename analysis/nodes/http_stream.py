"""Whole HTTP requests and responses, cut out of a stream of bytes."""

import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 90.0
"""After this a wait for a node counts as one without a bound: all bounds are far below."""

_HEAD_END = b"\r\n\r\n"
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


@dataclass(frozen=True)
class HttpMessage:
    """One request or response, exactly as it was sent."""

    raw: bytes

    def json(self) -> Any:
        return json.loads(self.raw.partition(_HEAD_END)[2])


class HttpRequest(HttpMessage):
    """A request."""

    @property
    def path(self) -> str:
        """The request target, with its query."""
        return self.raw.split(b" ", 2)[1].decode("latin-1")


class HttpResponse(HttpMessage):
    """A response."""

    @property
    def status(self) -> int:
        return int(self.raw.split(b" ", 2)[1])

    @property
    def head(self) -> str:
        """Status line and headers."""
        return self.raw.partition(_HEAD_END)[0].decode("latin-1")


def request(
    method: str, target: str, body: bytes = b"", *headers: str, version: str = "HTTP/1.1"
) -> bytes:
    """A request with a Host header and, if it has a body, the length of that."""
    lines = [f"{method} {target} {version}", "Host: node", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


class HttpSplitter:
    """Cuts a stream into messages; a message without Content-Length ends with its head."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take in the next bytes of the stream.

        :return: the messages that they complete.
        """
        self._buffer += data
        while (end := self._message_end()) is not None and end <= len(self._buffer):
            message = bytes(self._buffer[:end])
            del self._buffer[:end]
            yield message

    def _message_end(self) -> int | None:
        head_end = self._buffer.find(_HEAD_END)
        if head_end < 0:
            return None
        length = _CONTENT_LENGTH.search(self._buffer, 0, head_end)
        return head_end + len(_HEAD_END) + (int(length[1]) if length else 0)


def exchange(address: tuple[str, int], raw: bytes, *, cut_off: bool = False) -> HttpResponse:
    """Send bytes over a connection of their own, and read one response.

    :param address: host and port.
    :param raw: anything, also what is no proper request.
    :param cut_off: whether the client says that it sends no more.
    :raises OSError: there is no whole response.
    """
    with socket.create_connection(address, TIMEOUT_S) as connection:
        connection.sendall(raw)
        if cut_off:
            connection.shutdown(socket.SHUT_WR)
        return read_response(connection)


def ask(connection: socket.socket, raw: bytes) -> HttpResponse:
    """Like :func:`exchange`, over a connection that is there and stays."""
    connection.sendall(raw)
    return read_response(connection)


@contextmanager
def open_connections(address: tuple[str, int], count: int) -> Iterator[list[socket.socket]]:
    """So many connections at a time."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(address, TIMEOUT_S)) for _ in range(count)
        ]


def read_response(connection: socket.socket) -> HttpResponse:
    """Read one response.

    :param connection: with a time-out set.
    :raises OSError: it did not arrive as a whole.
    """
    splitter = HttpSplitter()
    while data := connection.recv(65536):
        for message in splitter.feed(data):
            return HttpResponse(message)
    raise ConnectionResetError("the connection was closed before a whole response came")
