"""A TCP proxy that stands between a client and an HTTP server and makes the network fail.

It can cut or stall either direction or both, refuse connections, add latency, hold back the
requests for one path, and send recorded requests once more. What goes to the server is passed on in
whole HTTP requests: a request whose end has not arrived at the proxy has not been sent.
"""

import contextlib
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator
from enum import Enum
from types import TracebackType
from typing import Self

from tests.http_stream import HttpRequest, HttpResponse, HttpSplitter, exchange

_CHUNK_BYTES = 65536
_LINGER_NOT = struct.pack("ii", 1, 0)
_RECORDED_REQUESTS = 500


class Direction(Enum):
    """One way through the proxy."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Flow(Enum):
    """What happens to bytes in one direction."""

    OPEN = "open"
    STALLED = "stalled"  # they wait, and go on when the direction is healed, as TCP would have it
    CUT = "cut"  # they are lost; a connection that has lost some ends once the direction is healed


BOTH = (Direction.TO_SERVER, Direction.TO_CLIENT)


class TcpProxy:
    """One listening port on 127.0.0.1 in front of one server; a context manager.

    :param server: the server's ``host:port``.
    """

    def __init__(self, server: str) -> None:
        self._server = _endpoint(server)
        self._changed = threading.Condition()
        self._flows = dict.fromkeys(Direction, Flow.OPEN)
        self._held_paths: set[str] = set()
        self._refusing = False
        self._latency_s = 0.0
        self._stopped = False
        self._recorded: deque[HttpRequest] = deque(maxlen=_RECORDED_REQUESTS)
        self._connections: set[_Connection] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    @property
    def address(self) -> str:
        """``host:port`` where clients find the proxy."""
        host, port = self._listener.getsockname()
        return f"{host}:{port}"

    # Faults

    def cut(self, *directions: Direction) -> None:
        """Lose everything that goes in these directions; both if none is named."""
        self._set_flow(directions, Flow.CUT)

    def stall(self, *directions: Direction) -> None:
        """Let nothing through in these directions until they are healed; both if none is named."""
        self._set_flow(directions, Flow.STALLED)

    def refuse(self) -> None:
        """End all connections, and every new one at once, as if the server were not running."""
        with self._changed:
            self._refusing = True
        self._abort_all()

    def hold(self, path: str) -> None:
        """Hold back every request for a path, and what follows it on its connection."""
        with self._changed:
            self._held_paths.add(path)

    def release(self, path: str) -> None:
        """Let the held requests for a path go on, however late they are, and all later ones."""
        with self._changed:
            self._held_paths.discard(path)
            self._changed.notify_all()

    def delay(self, seconds: float) -> None:
        """Let everything arrive later, in both directions.

        :param seconds: from 0, which is no delay.
        """
        self._latency_s = seconds

    def redirect(self, server: str) -> None:
        """Lead all new connections to another server, and end the present ones.

        :param server: its ``host:port``.
        """
        self._server = _endpoint(server)
        self._abort_all()

    def heal(self) -> None:
        """End every fault but a redirection."""
        with self._changed:
            self._flows = dict.fromkeys(Direction, Flow.OPEN)
            self._held_paths.clear()
            self._refusing = False
            self._latency_s = 0.0
            self._changed.notify_all()

    # Requests seen

    def requests(self, path: str) -> list[HttpRequest]:
        """The newest requests for a path that were passed on to the server, oldest first."""
        with self._changed:
            return [request for request in self._recorded if request.path == path]

    def replay(self, request: HttpRequest) -> HttpResponse:
        """Send a request to the server once more, over a new connection past all faults.

        :raises OSError: there is no whole response.
        """
        return exchange(self._server, request.raw)

    # Life

    def stop(self) -> None:
        """Close everything, and wait until every thread has ended."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in list(self._connections):
            connection.abort()
            connection.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    # What connections ask

    def admit(self, direction: Direction, path: str | None) -> bool:
        """Wait until something may go on.

        :param path: of the request that it is; ``None`` when it is no request.
        :return: whether it gets through; else it is lost.
        """
        if self._latency_s > 0:
            time.sleep(self._latency_s)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._must_wait(direction, path))
            return self._flows[direction] is Flow.OPEN and not self._stopped

    def record(self, request: HttpRequest) -> None:
        """Remember a request that was passed on."""
        with self._changed:
            self._recorded.append(request)

    def forget(self, connection: "_Connection") -> None:
        """A connection has ended."""
        with self._changed:
            self._connections.discard(connection)

    def admit_end(self, direction: Direction) -> None:
        """Wait until the end of a connection may be noticed on its other side."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._flows[direction] is Flow.OPEN)

    def _must_wait(self, direction: Direction, path: str | None) -> bool:
        return self._flows[direction] is Flow.STALLED or path in self._held_paths

    def _set_flow(self, directions: tuple[Direction, ...], flow: Flow) -> None:
        with self._changed:
            for direction in directions or BOTH:
                self._flows[direction] = flow
            self._changed.notify_all()

    def _abort_all(self) -> None:
        with self._changed:
            connections = list(self._connections)
        for connection in connections:
            connection.abort()

    def _accept(self) -> None:
        while not self._stopped:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._changed:
                refused = self._refusing or self._stopped
                if not refused:
                    self._connections.add(_Connection(self, client, self._server))
            if refused:
                _reset(client)


class _Connection:
    """One client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: TcpProxy, client: socket.socket, server: tuple[str, int]) -> None:
        self._proxy = proxy
        self._client = client
        self._server_address = server
        self._server: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def abort(self) -> None:
        """End both sides at once."""
        for side in (self._client, self._server):
            if side is not None:
                with contextlib.suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        """Wait until its threads have ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server = socket.create_connection(self._server_address)
        except OSError:
            _reset(self._client)
        else:
            with self._client, self._server:
                to_client = threading.Thread(target=self._pass_to_client, args=(self._server,))
                to_client.start()
                self._pass_to_server(self._server)
                to_client.join()
        self._proxy.forget(self)

    def _pass_to_server(self, server: socket.socket) -> None:
        splitter = HttpSplitter()
        lost = False
        with contextlib.suppress(OSError):
            for data in _received(self._client):
                for message in splitter.feed(data):
                    request = HttpRequest(message)
                    if not self._proxy.admit(Direction.TO_SERVER, request.path):
                        lost = True
                    elif lost:
                        self.abort()
                    else:
                        self._proxy.record(request)
                        server.sendall(message)
            # The client has closed its side, but what it sent before still has its effect.
            self._proxy.admit_end(Direction.TO_SERVER)
            server.shutdown(socket.SHUT_WR)

    def _pass_to_client(self, server: socket.socket) -> None:
        lost = False
        for data in _received(server):
            if not self._proxy.admit(Direction.TO_CLIENT, None):
                lost = True
            elif lost:
                self.abort()
            else:
                with contextlib.suppress(OSError):
                    self._client.sendall(data)
        self._proxy.admit_end(Direction.TO_CLIENT)
        with contextlib.suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)


def _endpoint(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host, int(port)


def _received(side: socket.socket) -> Iterator[bytes]:
    """What arrives until the other end closes, or the connection breaks."""
    with contextlib.suppress(OSError):
        while data := side.recv(_CHUNK_BYTES):
            yield data


def _reset(side: socket.socket) -> None:
    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
    side.close()
