"""A TCP proxy that stands between a client and an HTTP server and makes the network fail.

It can cut or stall either direction or both, refuse connections, add latency, hold back the
requests for one path, and send recorded requests once more. What goes to the server is passed on in
whole HTTP requests: a request whose end has not arrived at the proxy has not been sent.
"""

import contextlib
import socket
import struct
import threading
from collections import deque
from collections.abc import Iterator
from typing import Self

from analysis.nodes.http_stream import HttpRequest, HttpResponse, HttpSplitter, exchange
from analysis.nodes.network_faults import BOTH, Direction, NetworkFaults

__all__ = ["BOTH", "Direction", "TcpProxy"]

_CHUNK_BYTES = 65536
_LINGER_NOT = struct.pack("ii", 1, 0)
_RECORDED_REQUESTS = 500


class TcpProxy(NetworkFaults):
    """One listening port on 127.0.0.1 in front of one server; a context manager.

    :param server: the server's ``host:port``.
    """

    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = _endpoint(server)
        self._refusing = False
        self._lock = threading.Lock()
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

    # Faults of connections

    def refuse(self) -> None:
        """End all connections, and every new one at once, as if the server were not running."""
        self._refusing = True
        self._abort_all()

    def heal(self) -> None:
        """End every fault."""
        self._refusing = False
        super().heal()

    # Requests seen

    def requests(self, path: str) -> list[HttpRequest]:
        """The newest requests for a path that were passed on to the server, oldest first."""
        with self._lock:
            return [request for request in self._recorded if request.path == path]

    def replay(self, request: HttpRequest) -> HttpResponse:
        """Send a request to the server once more, over a new connection past all faults.

        :raises OSError: there is no whole response.
        """
        return exchange(self._server, request.raw)

    # Life

    def stop(self) -> None:
        """Close everything, and wait until every thread has ended."""
        self.stop_waiting()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()
        for connection in self._abort_all():
            connection.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # Connections

    def record(self, request: HttpRequest) -> None:
        """Remember a request that was passed on."""
        with self._lock:
            self._recorded.append(request)

    def forget(self, connection: "_Connection") -> None:
        """A connection has ended."""
        with self._lock:
            self._connections.discard(connection)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._refusing:
                    _reset(client)
                else:
                    self._connections.add(_Connection(self, client, self._server))

    def _abort_all(self) -> "list[_Connection]":
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.abort()
        return connections


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
