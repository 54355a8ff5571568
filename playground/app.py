"""The page's own HTTP API: frames out, controls in."""

import hmac
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from shlex import quote
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import requests
from flask import Blueprint, Flask, Response, abort, jsonify, render_template, request
from gevent.queue import Empty

from kvstore.client import ClientError
from kvstore.client.node_client import key_path
from playground.clients import BackgroundClients
from playground.experiments import EXPERIMENTS, find, perform
from playground.observer import Observer
from playground.stage import Stage, StageError

NAMES = {"127.0.0.1", "localhost", "::1"}
_HEARTBEAT_S = 15.0
_PATIENCE_S = 5.0
_SHOWN = 2000  # characters of a node's answer


class Page:
    """Everything behind the page.

    :param stage: the cluster on it.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.clients = BackgroundClients(stage)
        self.observer = Observer(stage, self.clients)
        self.runs: list[dict[str, Any]] = []
        self._busy = Lock()

    def start(self) -> None:
        """Begin to look at the nodes, and to write."""
        self.observer.start()
        self.clients.set_number(2)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nothing else changes the cluster meanwhile.

        :raises StageError: something does.
        """
        if not self._busy.acquire(timeout=_PATIENCE_S):
            raise StageError("something else is being done; wait until it has come to its end")
        try:
            yield
        finally:
            self._busy.release()


def create_app(stage: Stage, password: str | None = None) -> Flask:
    """Build the application.

    :param stage: the cluster on the page.
    :param password: asked for by the browser where it is set.
    """
    app = Flask("playground", static_folder="static", template_folder="templates")
    page = Page(stage)
    app.before_request(lambda: _check_access(password))
    app.register_error_handler(StageError, _refuse)
    app.register_error_handler(ClientError, _refuse)
    app.register_blueprint(_views(page))
    app.register_blueprint(_controls(page))
    app.register_blueprint(_requests(page))
    app.register_blueprint(_experiments(page))
    app.extensions["page"] = page
    return app


def _check_access(password: str | None) -> Response | None:
    # Another page in the same browser must not reach this one under a name of its own (DNS
    # rebinding), nor send it forms.
    if urlsplit(f"//{request.host}").hostname not in NAMES:
        abort(403, "the page answers to its loopback address only")
    if request.method == "POST" and not request.is_json:
        abort(415, "a control is a JSON object")
    given = request.authorization.password if request.authorization else None
    if password is None or hmac.compare_digest((given or "").encode(), password.encode()):
        return None
    realm = 'Basic realm="kvstore: any name, and the token", charset="UTF-8"'
    return Response("The page asks for its token.", 401, {"WWW-Authenticate": realm})


def _refuse(error: Exception) -> tuple[Response, int]:
    return jsonify(error=str(error)), 409


def _views(page: Page) -> Blueprint:
    routes = Blueprint("views", __name__)

    @routes.get("/")
    def show() -> str:
        return render_template("page.html", experiments=EXPERIMENTS, stage=page.stage)

    @routes.get("/frames")
    def frames() -> Response:
        return Response(_frames(page.observer), content_type="text/event-stream")

    @routes.get("/journey/<int:index>")
    def journey(index: int) -> Response:
        return jsonify(page.observer.journey(index))

    @routes.get("/runs/<int:number>")
    def run(number: int) -> str:
        if not 1 <= number <= len(page.runs):
            abort(404)
        return render_template("run.html", **page.runs[number - 1])

    return routes


def _frames(observer: Observer) -> Iterator[bytes]:
    queue = observer.watch()
    try:
        yield b": the frames follow\n\n"
        while True:
            try:
                frame = queue.get(timeout=_HEARTBEAT_S)
            except Empty:
                yield b":\n\n"
                continue
            if frame is None:
                return
            yield b"data: %b\n\n" % frame
    finally:
        observer.leave(queue)


def _controls(page: Page) -> Blueprint:
    """Each answers with the command that does the same."""
    routes = Blueprint("controls", __name__)
    stage = page.stage

    def control(text: str, act: Callable[[], str]) -> Response:
        with page.alone():
            command = act()
        page.observer.mark(text)
        return jsonify(command=command)

    @routes.post("/nodes/<name>/<what>")
    def do(name: str, what: str) -> Response:
        return control(f"{what} {name}", lambda: stage.do(what, name))

    @routes.post("/calm")
    def calm() -> Response:
        def act() -> str:
            stage.calm()
            return "# every fault undone, W and delay as they were"

        return control("everything put back", act)

    @routes.post("/quorum")
    def quorum() -> Response:
        size = int(_number("size"))
        return control(f"W={size}", lambda: stage.set_quorum(size))

    @routes.post("/delay")
    def delay() -> Response:
        low, high, name = _number("min_ms"), _number("max_ms"), _document().get("node")
        text = f"{low:g} to {high:g} ms" + (f" to {name}" if name else "")
        return control(text, lambda: stage.set_delay(low, high, name))

    @routes.post("/clients")
    def clients() -> Response:
        number, keys = int(_number("number")), int(_number("keys"))
        page.clients.set_number(number)
        page.clients.set_keys(keys)
        page.observer.mark(f"{page.clients.number} clients")
        return jsonify(command=f"kvstore --url {stage.leader.node.url} bench --clients {number}")

    return routes


def _requests(page: Page) -> Blueprint:
    """One request of a client, to any node."""
    routes = Blueprint("requests", __name__)

    @routes.post("/nodes/<name>/request")
    def send(name: str) -> Response:
        document, actor = _document(), page.stage.actor(name)
        method, key = document.get("method"), str(document.get("key") or "")
        if method not in ("get", "put", "delete") or not key:
            abort(400, "method is get, put or delete; key is a text")
        verb, path = {"get": "GET", "put": "PUT", "delete": "DELETE"}[method], key_path(method, key)
        body = {"value": document.get("value")} if method == "put" else None
        begin_s = time.monotonic()
        try:
            answer = actor.node.request(verb, path, json=body, timeout_s=5)
        except requests.RequestException as error:
            raise StageError(f"{name} does not answer ({type(error).__name__})") from error
        data = f" --json {quote(json.dumps(body))}" if body else ""
        return jsonify(
            command=f"curl -X {verb} '{actor.node.url}{path}'{data}",
            status=answer.status_code,
            body=answer.text[:_SHOWN],
            took_ms=round(1000 * (time.monotonic() - begin_s), 2),
        )

    return routes


def _experiments(page: Page) -> Blueprint:
    routes = Blueprint("experiments", __name__)

    @routes.post("/experiments/<name>")
    def experiment(name: str) -> Response:
        chosen, prediction = find(name), _document().get("prediction")
        said: list[str] = []

        def say(text: str) -> None:
            said.append(text)
            page.observer.news = {"experiment": name, "said": said, "running": True}

        with page.alone():
            page.observer.mark(f"experiment: {name}")
            try:
                with page.clients.paused():
                    result = perform(chosen, page.stage, say)
            finally:
                page.observer.news = {"experiment": name, "said": said, "running": False}
        run = {"number": len(page.runs) + 1, "prediction": prediction, "result": asdict(result)}
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        page.runs.append({**run, "when": when, "experiment": chosen, "said": said})
        return jsonify(number=run["number"], prediction=prediction, **asdict(result))

    return routes


def _document() -> dict[str, Any]:
    document = request.get_json(silent=True)
    if not isinstance(document, dict):
        abort(400, "a control is a JSON object")
    return document


def _number(name: str) -> float:
    number = _document().get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        abort(400, f"{name} must be a number")
    return float(number)
