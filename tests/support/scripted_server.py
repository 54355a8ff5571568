"""An HTTP server that answers what a test says, whether a node would say it or not."""

from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple, Self

import msgspec

HANG_UP = None
"""As an answer: read the request, and close the connection."""

Answer = tuple[int, Any] | tuple[int, Any, Mapping[str, str]] | None
"""Status, body, and headers; a body that is not bytes is sent as JSON."""


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    headers: dict[str, str]


class ScriptedServer:
    """Gives the answers of each path one after the other, and the last one for ever.

    :param answers: by path, without the query.
    :param otherwise: the answer of any other path.
    """

    def __init__(
        self, answers: Mapping[str, Sequence[Answer]], otherwise: Answer = (404, {})
    ) -> None:
        self._otherwise = otherwise
        self.requests: list[Request] = []
        self._left = {path: list(script) for path, script in answers.items()}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _answer(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", "0")))
                outer.requests.append(Request(self.command, self.path, dict(self.headers)))
                left = outer._left.get(self.path.partition("?")[0], [outer._otherwise])
                answer = left[0] if len(left) == 1 else left.pop(0)
                if answer is HANG_UP:
                    self.close_connection = True
                    return
                status, body, headers = (*answer, {})[:3]
                encoded = body if isinstance(body, bytes) else msgspec.json.encode(body)
                self.send_response(status)
                for name, text in headers.items():
                    self.send_header(name, text)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            do_GET = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 (the library's names)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
