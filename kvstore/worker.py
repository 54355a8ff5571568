"""The gunicorn worker of a node: gevent's, with JSON errors and a prompt end.

gunicorn answers requests that it cannot parse in HTML, and its graceful stop waits for kept-alive
connections on which nothing happens.
"""

import ctypes
import json
import os
import signal
import socket
import sys
from types import FrameType, TracebackType
from typing import Any, Literal

import gevent
from gunicorn import util
from gunicorn.workers.ggevent import GeventWorker

_PR_SET_PDEATHSIG = 1


class NodeWorker(GeventWorker):
    """The one worker process of a node."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.idle: set[_NextRequest] = set()

    def init_process(self) -> None:
        """Tie the worker to the arbiter: together they are one node, and end together."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self.ppid:
            sys.exit(0)
        util.write_error = _write_json_error
        super().init_process()

    def timeout_ctx(self) -> "_NextRequest":  # type: ignore[override]  # the stubs say None
        """What bounds the wait for a connection's next request."""
        return _NextRequest(self, self.cfg.keepalive if self.alive else 0)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """SIGTERM: requests in hand are finished, idle connections end now."""
        super().handle_exit(sig, frame)
        for waiting in list(self.idle):
            gevent.spawn(waiting.end)


class _NextRequest(gevent.Timeout):
    """The wait of one connection for its next request."""

    def __init__(self, worker: NodeWorker, seconds: float) -> None:
        super().__init__(seconds, False)  # type: ignore[arg-type]  # False: raise nothing
        self._worker = worker
        self._greenlet = gevent.getcurrent()

    def __enter__(self) -> "_NextRequest":
        self._worker.idle.add(self)
        super().__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> Literal[True] | None:
        self._worker.idle.discard(self)
        return super().__exit__(kind, value, traceback)

    def end(self) -> None:
        """End the wait as if its time were up."""
        if self in self._worker.idle:
            self._greenlet.throw(self)


def _write_json_error(sock: socket.socket, status_int: int, reason: str, mesg: str) -> None:
    body = json.dumps({"error": mesg or reason.lower()})
    head = (
        f"HTTP/1.1 {status_int} {reason}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    util.write_nonblock(sock, (head + body).encode("latin-1"))
