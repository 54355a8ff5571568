"""An HTTP server that answers one request after the other as a test says."""

import json
import socket
import threading
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from tests.support.http_stream import HttpRequest, HttpSplitter

HANG_UP = None
"""In a script: read the request, and close the connection without an answer."""

Answer = tuple[int, dict[str, Any]]


class ScriptedServer:
    """Answers each request with the next line of its script, each over a connection of its own.

    :param script: status and body for each request, or ``HANG_UP``.
    """

    def __init__(self, script: Sequence[Answer | None]) -> None:
        self.requests: list[HttpRequest] = []
        self._script = script
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(20.0)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _serve(self) -> None:
        for answer in self._script:
            connection, _ = self._listener.accept()
            with connection:
                connection.settimeout(20.0)
                self.requests.append(_read_request(connection))
                if answer is not None:
                    connection.sendall(_response(*answer))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.join(20.0)
        self._listener.close()


def _read_request(connection: socket.socket) -> HttpRequest:
    splitter = HttpSplitter()
    while True:
        data = connection.recv(65536)
        assert data, "the client hung up"
        for message in splitter.feed(data):
            return HttpRequest(message)


def _response(status: int, body: dict[str, Any]) -> bytes:
    text = json.dumps(body)
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n"
    return (head + text).encode()
