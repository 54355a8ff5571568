"""The routes for operators: what a node holds and does, and its run-time settings."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response
from gevent.lock import BoundedSemaphore

from kvstore.core.errors import InvalidRequest, NotLeader, NotReady
from kvstore.http import strict_json
from kvstore.http.request_parts import read_body
from kvstore.http.responses import json_response
from kvstore.http.store_copy import StoreCopy
from kvstore.node.follower_node import FollowerNode
from kvstore.node.leader_node import LeaderNode

BODY_LIMIT = 16 << 10

COPIES = 4
"""How many copies of the store are read at a time."""
COPY_WAIT_S = 20.0
"""How long a reader waits for its turn."""


def admin_api(
    node: LeaderNode | FollowerNode, check_access: Callable[[], None], repl_timeout_s: float
) -> Blueprint:
    """Build the routes.

    :param check_access: raises when the caller may not use these routes.
    :param repl_timeout_s: bound of the simulated delay.
    """
    api = Blueprint("admin", __name__, url_prefix="/admin")
    api.before_request(check_access)
    copies = BoundedSemaphore(COPIES)

    @api.post("/set_quorum")
    def set_quorum() -> Response:
        leader = _leader(node)
        quorum = _document().get("quorum")
        if type(quorum) is not int:
            raise InvalidRequest("quorum must be a whole number")
        try:
            leader.set_quorum(quorum)
        except ValueError as error:
            raise InvalidRequest(str(error)) from None
        return json_response({"quorum": quorum})

    @api.post("/set_delay")
    def set_delay() -> Response:
        leader = _leader(node)
        document = _document()
        low, high = _number(document, "min_ms"), _number(document, "max_ms")
        if not 0 <= low <= high < repl_timeout_s * 1000:
            raise InvalidRequest(
                f"0 <= min_ms <= max_ms < {repl_timeout_s * 1000:g} (REPL_TIMEOUT) must hold"
            )
        leader.set_delay(low, high)
        return json_response({"min_ms": low, "max_ms": high})

    @api.get("/store")
    def store() -> Response:
        if not copies.acquire(timeout=COPY_WAIT_S):
            raise NotReady("too many copies of the store are being read")
        try:
            copy = StoreCopy(node.map)
        except NotReady:
            copies.release()
            raise
        response = Response(copy.parts(), content_type="application/json")
        response.call_on_close(copies.release)
        return response

    @api.post("/force_start")
    def force_start() -> Response:
        return json_response(_leader(node).force_start(_keep()))

    return api


def health_api(node: LeaderNode | FollowerNode) -> Blueprint:
    """Build the routes that everybody may see: liveness, readiness and status."""
    api = Blueprint("health", __name__)

    @api.get("/livez")
    def livez() -> Response:
        return json_response({"live": True})

    @api.get("/readyz")
    def readyz() -> Response:
        status = node.status()
        body = {name: status[name] for name in ("state", "waiting_for", "problem")}
        return json_response({"ready": node.ready, **body}, 200 if node.ready else 503)

    @api.get("/status")
    def status() -> Response:
        return json_response(node.status())

    return api


def _leader(node: LeaderNode | FollowerNode) -> LeaderNode:
    if isinstance(node, FollowerNode):
        raise NotLeader(node.leader)
    return node


def _keep() -> str | None:
    body = read_body(BODY_LIMIT)
    keep = _object(body).get("keep") if body else None
    if keep is not None and not isinstance(keep, str):
        raise InvalidRequest('keep must be an address, or "self"')
    return keep


def _number(document: dict[str, Any], name: str) -> float:
    number = document.get(name)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise InvalidRequest(f"{name} must be a number")
    return float(number)


def _document() -> dict[str, Any]:
    return _object(read_body(BODY_LIMIT))


def _object(body: bytes) -> dict[str, Any]:
    document = strict_json.parse(body)
    if not isinstance(document, dict):
        raise InvalidRequest("the body must be an object")
    return document
