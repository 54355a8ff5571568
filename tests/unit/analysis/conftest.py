import json
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, Self

import pytest


@pytest.fixture
def fixtures() -> Path:
    return Path(__file__).parent / "fixtures"


class AnsweringServer:
    """Answers over real HTTP what a test puts into it, whether a node would say it or not.

    :ivar answers: list of (status, body) by path; the last one is repeated for ever.
    :ivar posted: path and body of every POST.
    """

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.posted: list[tuple[str, Any]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                left = outer.answers.get(self.path, [(404, {"error": "not found"})])
                status, body = left[0] if len(left) == 1 else left.pop(0)
                self._answer(status, body)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.posted.append((self.path, body))
                self._answer(200, body)

            def _answer(self, status: int, body: object) -> None:
                encoded = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(encoded)))
                self.end_headers()
                self.wfile.write(encoded)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class StartServer(Protocol):
    def __call__(self, **answers: Any) -> AnsweringServer: ...


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Start a server; ``status=`` and ``store=`` are its answers, each one or a list of them."""
    paths = {"status": "/status", "store": "/admin/store"}
    with ExitStack() as stack:

        def start(**answers: Any) -> AnsweringServer:
            server = stack.enter_context(AnsweringServer())
            for name, answer in answers.items():
                several = answer if isinstance(answer, list) else [answer]
                server.answers[paths[name]] = [
                    each if isinstance(each, tuple) else (200, each) for each in several
                ]
            return server

        yield start
