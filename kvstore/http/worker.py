"""The gunicorn worker of a node: gevent's, with bounded waits, JSON errors and a prompt stop.

gunicorn waits without limit for a client that stops sending a head or stops reading its answer,
answers requests that it cannot parse in HTML that quotes them, and its graceful stop waits for
idle kept-alive connections.
"""

import errno
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from http import HTTPStatus
from types import FrameType
from typing import Any

import gevent
import msgspec
from gevent.socket import SHUT_RDWR, socket
from gunicorn import util
from gunicorn.http import Request, errors
from gunicorn.http.body import Body, ChunkedReader, LengthReader
from gunicorn.http.parser import RequestParser
from gunicorn.workers.ggevent import GeventWorker

from kvstore.core.errors import RequestTimeout
from kvstore.http.parentage import end_with_parent
from kvstore.http.parser_pool import SMALL_BYTES
from kvstore.http.plain_exchange import PlainExchange, connection_environ, is_enough
from kvstore.http.plain_head import read_plain_head
from kvstore.http.responses import STATUS
from kvstore.http.watch_routes import end_streams

HEAD_TIMEOUT_S = 10.0
"""How long a client may take to send a request's head, from its first byte on."""
ANSWER_TIMEOUT_S = 20.0
"""How long a client may take to read each mebibyte of an answer."""

_REQUEST_BYTES = SMALL_BYTES
_ANSWER_PART_BYTES = 1 << 20
_LINGER_S = 2.0
_LINGER_BYTES = 64 << 20

_REFUSALS: dict[type[Exception], tuple[int, str]] = {
    errors.LimitRequestLine: (414, "the request line is too long"),
    errors.LimitRequestHeaders: (431, "the headers are too large"),
    errors.ExpectationFailed: (417, "Expect can only be 100-continue"),
    errors.InvalidRequestLine: (400, "invalid request line"),
    errors.InvalidRequestMethod: (400, "invalid method"),
    errors.InvalidHTTPVersion: (400, "the HTTP version must be 1.0 or 1.1"),
    # RFC 9112 has 501 here, but a client's mistake is never a 5xx.
    errors.UnsupportedTransferCoding: (400, "Transfer-Encoding can only be chunked"),
}
_OTHER_REFUSAL = (400, "invalid headers")


class NodeWorker(GeventWorker):
    """The one worker process of a node."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle: set[_Connection] = set()

    @property
    def idle_timeout_s(self) -> float:
        """How long a connection may wait for its next request."""
        return float(self.cfg.keepalive) if self.alive else 0.0

    def init_process(self) -> None:
        """Tie the worker to the arbiter: together they are one node, and end together."""
        end_with_parent()
        if os.getppid() != self.ppid:
            sys.exit(0)
        RequestParser.mesg_class = _Request
        self._reads_plainly = is_enough(self.cfg) and not self.log.access_log_enabled
        super().init_process()

    def handle(self, listener: socket, client: socket, addr: Any) -> None:
        """Serve a connection to its end: plain requests here, all from the first other one on by
        gunicorn.
        """
        connection = _Connection(client, self)
        if not self._reads_plainly or self._serve_plain(connection, listener, addr):
            super().handle(listener, connection, addr)  # type: ignore[arg-type]

    def _serve_plain(self, connection: "_Connection", listener: socket, addr: Any) -> bool:
        """:return: whether there is a request that gunicorn has to serve."""
        environ = connection_environ(self.cfg, connection, addr, listener.getsockname())
        data = b""
        is_left = False
        exchange: PlainExchange | None = None
        try:
            while data := data or connection.recv(_REQUEST_BYTES):
                head = read_plain_head(data)
                if head is None:
                    connection.put_back(data)
                    is_left = True
                    break
                exchange = PlainExchange(head, data[head.size :], connection, keep_alive=self.alive)
                connection.in_hand = True
                is_kept = exchange.serve(self.wsgi, environ)
                connection.flush()
                connection.next_request(is_whole=exchange.is_read)
                if not is_kept:
                    break
                data = exchange.rest()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                self.log.exception("Socket error processing request.")
        except Exception as error:
            connection.next_request(is_whole=False)
            if exchange is None or not exchange.has_begun:
                self.handle_error(None, connection, addr, error)
            else:
                self.log.exception("Error handling request")
                connection.abort()
        finally:
            if not is_left:
                util.close(connection)  # type: ignore[arg-type]
        return is_left

    def timeout_ctx(self) -> AbstractContextManager[None]:  # type: ignore[override]
        """Gunicorn's bound for the wait for the next request: here, the connection has it."""
        return nullcontext()

    def handle_request(self, listener_name: Any, req: Request, sock: Any, addr: Any) -> bool:
        """Serve one request, whose head has been read."""
        sock.in_hand = True
        try:
            return super().handle_request(listener_name, req, sock, addr)
        finally:
            sock.flush()
            sock.next_request(is_whole=_is_read(req.body))

    def handle_error(
        self,
        req: Request | None,  # noqa: ARG002 (it may hold the cluster's token: never quoted)
        client: Any,
        addr: Any,  # noqa: ARG002
        exc: BaseException,
    ) -> None:
        """Answer what is not a valid request, or failed outside of the app."""
        if isinstance(exc, RequestTimeout):
            status, text = STATUS[RequestTimeout], str(exc)
        elif isinstance(exc, errors.ParseException):
            status, text = _REFUSALS.get(type(exc), _OTHER_REFUSAL)
        else:
            self.log.error("a request failed", exc_info=exc)
            status, text = 500, "internal server error"
        body = msgspec.json.encode({"error": text})
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nConnection: close\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        client.end_with(head.encode() + body)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: requests in flight are finished, idle connections and streams end now."""
        super().handle_exit(sig, frame)
        end_streams()
        for waiting in list(self.idle):
            gevent.spawn(waiting.end)


class _Request(Request):
    """A request after which the connection closes, unless all of it was read.

    Otherwise the rest of a refused body would have to be read, however long it is, to find where
    the next request begins.
    """

    def should_close(self) -> bool:
        return super().should_close() or not _is_read(self.body)


def _is_read(body: Body | None) -> bool:
    reader = None if body is None else body.reader
    if isinstance(reader, LengthReader):
        return reader.length == 0
    if isinstance(reader, ChunkedReader):
        return reader.parser is None
    return True


class _Connection:
    """A client's socket, on which every wait for the client has a bound.

    :ivar in_hand: whether a request is being served; its body has a bound of its own.
    """

    def __init__(self, client: socket, worker: NodeWorker) -> None:
        self.in_hand = False
        self._socket = client
        self._worker = worker
        self._greenlet = gevent.getcurrent()
        self._waiting = gevent.Timeout()
        self._head_deadline_s: float | None = None
        self._is_read = True
        self._unsent = b""
        self._put_back = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def recv(self, size: int) -> bytes:
        """What the client sends next; nothing when it has no more requests, or took too long."""
        if self._put_back:
            data, self._put_back = self._put_back[:size], self._put_back[size:]
            return data
        if self.in_hand:
            return self._socket.recv(size)
        if self._head_deadline_s is None:
            return self._first_part(size)
        left_s = self._head_deadline_s - time.monotonic()
        late = RequestTimeout(f"the request's head took longer than {HEAD_TIMEOUT_S:g} s")
        with gevent.Timeout(max(left_s, 0.0), late):
            data = self._socket.recv(size)
        if not data:
            # gunicorn would log the part that came, which may hold the cluster's token.
            raise ConnectionResetError(errno.ECONNRESET, "the client left within a head")
        return data

    def sendall(self, data: bytes) -> None:
        """Send a part of an answer; head and body of a small one leave together.

        :raises ConnectionResetError: the client does not read it.
        """
        if self.in_hand and len(self._unsent) + len(data) <= _ANSWER_PART_BYTES:
            self._unsent += data
        else:
            self.flush()
            self._send(data)

    def flush(self) -> None:
        """Send what is left of an answer.

        :raises ConnectionResetError: the client does not read it.
        """
        unsent, self._unsent = self._unsent, b""
        self._send(unsent)

    def next_request(self, *, is_whole: bool) -> None:
        """A request was answered.

        :param is_whole: whether it was read to its end.
        """
        self.in_hand = False
        self._head_deadline_s = None
        self._is_read = is_whole

    def put_back(self, data: bytes) -> None:
        """Let ``recv`` return data once more, which it returned last."""
        self._put_back = data

    def abort(self) -> None:
        """Break an answer off, so that the client does not take it for whole."""
        self._unsent = b""
        with suppress(OSError):
            self._socket.shutdown(SHUT_RDWR)

    def end_with(self, answer: bytes) -> None:
        """Send a last answer, if the client is still there."""
        self._is_read = False
        with suppress(OSError):
            self.sendall(answer)

    def end(self) -> None:
        """End the wait for the next request as if its time were up."""
        if self in self._worker.idle:
            self._greenlet.throw(self._waiting)

    def close(self) -> None:
        """Close it so that what the client still sends does not destroy (by a RST) the answer."""
        if self._is_read:
            self._socket.close()
        else:
            util.close_graceful(self._socket, _LINGER_S, _LINGER_BYTES)

    def _send(self, data: bytes) -> None:
        rest = memoryview(data)
        self._socket.settimeout(ANSWER_TIMEOUT_S)
        try:
            while rest:
                self._socket.sendall(rest[:_ANSWER_PART_BYTES])
                rest = rest[_ANSWER_PART_BYTES:]
        except TimeoutError:
            raise ConnectionResetError(errno.ECONNRESET, "the client does not read") from None
        finally:
            self._socket.settimeout(None)

    def _first_part(self, size: int) -> bytes:
        self._waiting = gevent.Timeout(
            self._worker.idle_timeout_s,
            exception=False,  # type: ignore[arg-type]  # False: raise nothing
        )
        self._worker.idle.add(self)
        try:
            with self._waiting:
                data = self._socket.recv(size)
                self._head_deadline_s = time.monotonic() + HEAD_TIMEOUT_S
                return data
        finally:
            self._worker.idle.discard(self)
        return b""
