"""The routes for operators: a copy of what a node holds, and what may be changed at run time."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, request
from gevent.lock import BoundedSemaphore

from kvstore.api_types import Delay, Exchanges, Quorum
from kvstore.core.errors import InvalidRequest, NotReady
from kvstore.http import strict_json
from kvstore.http.access import AccessCheck
from kvstore.http.request_parts import query_number, read_body
from kvstore.http.responses import json_response
from kvstore.http.store_copy import StoreCopy
from kvstore.node.node import Node

BODY_LIMIT = 16 << 10

COPIES = 4
"""How many copies of the store are read at a time."""
COPY_WAIT_S = 20.0
"""How long a reader waits for its turn."""


def admin_routes(
    node: Node, check_access: AccessCheck, copy_wait_s: float = COPY_WAIT_S
) -> Blueprint:
    """Build the routes.

    :param check_access: raises when the caller may not use these routes.
    :param copy_wait_s: how long a reader of the store waits for its turn.
    """
    routes = Blueprint("admin", __name__, url_prefix="/admin")
    routes.before_request(lambda: check_access(request.environ))
    copies = BoundedSemaphore(COPIES)

    @routes.post("/set_quorum")
    def set_quorum() -> Response:
        node.check_leads()
        quorum = _document().get("quorum")
        if type(quorum) is not int:
            raise InvalidRequest("quorum must be a whole number")
        with _refused():
            node.set_quorum(quorum)
        return json_response(Quorum(quorum))

    @routes.post("/set_delay")
    def set_delay() -> Response:
        node.check_leads()
        document = _document()
        follower = _text(document, "follower", "the address of a follower")
        delay = Delay(_number(document, "min_ms"), _number(document, "max_ms"), follower)
        with _refused():
            node.set_delay(delay.min_ms, delay.max_ms, follower)
        return json_response(delay)

    @routes.get("/exchanges")
    def exchanges() -> Response:
        node.check_leads()
        after = query_number(request.environ, "after") or 0
        return json_response(Exchanges(node.exchanges(after)))

    @routes.get("/store")
    def store() -> Response:
        if not copies.acquire(timeout=copy_wait_s):
            raise NotReady("too many copies of the store are being read")
        try:
            copy = StoreCopy(node.map)
        except NotReady:
            copies.release()
            raise
        response = Response(copy.parts(), content_type="application/json")
        response.call_on_close(copies.release)
        return response

    @routes.post("/force_start")
    def force_start() -> Response:
        node.check_leads()
        return json_response(node.force_start(_keep()))

    return routes


@contextmanager
def _refused() -> Iterator[None]:
    """Answer with the text of a :class:`ValueError`."""
    try:
        yield
    except ValueError as error:
        raise InvalidRequest(str(error)) from None


def _keep() -> str | None:
    body = read_body(request.environ, BODY_LIMIT)
    return _text(_object(body), "keep", 'an address, or "self"') if body else None


def _text(document: dict[str, Any], name: str, what: str) -> str | None:
    text = document.get(name)
    if text is not None and not isinstance(text, str):
        raise InvalidRequest(f"{name} must be {what}")
    return text


def _number(document: dict[str, Any], name: str) -> float:
    number = document.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidRequest(f"{name} must be a number")
    return float(number)


def _document() -> dict[str, Any]:
    return _object(read_body(request.environ, BODY_LIMIT))


def _object(body: bytes) -> dict[str, Any]:
    document = strict_json.parse(body)
    if not isinstance(document, dict):
        raise InvalidRequest("the body must be an object")
    return document
