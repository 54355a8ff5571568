"""A plain request and its answer, without gunicorn's own handling.

Both are as gunicorn's, byte by byte. What gunicorn does besides, and a node as it is configured
does not need, is left out: hooks, an access log, a bound on the number of requests.
"""

import os
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from io import BytesIO
from typing import Any

from gunicorn import SERVER
from gunicorn.http.body import Body, LengthReader
from gunicorn.http.unreader import SocketUnreader
from gunicorn.http.wsgi import base_environ
from gunicorn.util import http_date

from kvstore.http.plain_head import PlainHead


def is_enough(config: Any) -> bool:
    """Whether a node that is configured so needs nothing of gunicorn for its plain requests.

    :param config: gunicorn's, which an operator can change by ``GUNICORN_CMD_ARGS``.
    """
    return (
        all(isinstance(address, tuple) for address in config.address)
        and not config.is_ssl
        and not config.statsd_host
        and not config.max_requests
        and config.keepalive
        and config.proxy_protocol == "off"
        and "SCRIPT_NAME" not in os.environ
    )


def connection_environ(
    config: Any, connection: Any, client: tuple[Any, ...], server: tuple[Any, ...]
) -> dict[str, Any]:
    """What is the same for all requests of a connection, by the names of WSGI.

    :param client: the client's address.
    :param server: the address at which the node listens.
    """
    return {
        **base_environ(config),
        "gunicorn.socket": connection,
        "wsgi.multithread": True,
        "wsgi.url_scheme": "http",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
    }


class PlainExchange:
    """One request, and its answer.

    :param head: of the request.
    :param data: what has come behind the head: the body, or a part of it, or more.
    :param connection: for the rest of the body, and for the answer.
    :param keep_alive: whether the server would keep the connection.
    :ivar has_begun: whether a part of the answer was sent.
    """

    def __init__(self, head: PlainHead, data: bytes, connection: Any, *, keep_alive: bool) -> None:
        self.has_begun = False
        self._head = head
        self._connection = connection
        self._keep_alive = keep_alive and head.keep_alive
        self._status = ""
        self._headers: list[tuple[str, str]] = []
        self._is_chunked = False
        self._unreader = SocketUnreader(connection)
        self._body: BytesIO | Body
        if len(data) >= head.length:
            self._body = BytesIO(data[: head.length])
            data = data[head.length :]
        else:
            self._body = Body(LengthReader(self._unreader, head.length))
        self._unreader.unread(data)

    @property
    def is_read(self) -> bool:
        """Whether all of the request was read."""
        if isinstance(self._body, BytesIO):
            return self._body.tell() == self._head.length
        reader = self._body.reader
        return isinstance(reader, LengthReader) and reader.length == 0

    def serve(self, app: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> bool:
        """Let an application answer it.

        :param environ: what does not depend on the request.
        :return: whether the connection is kept.
        """
        environ = {**environ, **self._head.environ, "wsgi.input": self._body}
        parts = app(environ, self._start)
        try:
            for part in parts:
                self._send(part)
            self._send(b"", last=True)
        finally:
            if hasattr(parts, "close"):
                parts.close()
        return self._keep_alive

    def rest(self) -> bytes:
        """What has come behind the request, once that is read."""
        return self._unreader.take_buffered()

    def _start(
        self, status: str, headers: list[tuple[str, str]], _exc_info: object = None, /
    ) -> Callable[[bytes], None]:
        self._status, self._headers = status, headers
        has_length = any(name.lower() == "content-length" for name, _ in headers)
        self._is_chunked = not has_length and not status.startswith(("204", "304"))
        return self._send

    def _send(self, part: bytes, *, last: bool = False) -> None:
        data = b"" if self.has_begun else self._begin()
        if self._is_chunked and (part or last):
            part = b"%X\r\n%b\r\n" % (len(part), part)
        if data or part:
            self._connection.sendall(data + part)

    def _begin(self) -> bytes:
        self.has_begun = True
        self._keep_alive = self._keep_alive and self.is_read
        lines = [
            f"HTTP/1.1 {self._status}",
            f"Server: {SERVER}",
            f"Date: {_date(int(time.time()))}",
            "Connection: keep-alive" if self._keep_alive else "Connection: close",
        ]
        if self._is_chunked:
            lines.append("Transfer-Encoding: chunked")
        lines += [f"{name}: {value}" for name, value in self._headers]
        return "\r\n".join([*lines, "\r\n"]).encode("latin-1")


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return http_date(second)
