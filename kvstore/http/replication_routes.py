"""The routes for the leader: every message of the replication protocol, on a follower."""

from collections.abc import Callable

from flask import Blueprint, Response

from kvstore.core.messages import BODY_LIMIT, Message, decode
from kvstore.http.http_transport import PATHS
from kvstore.http.request_parts import read_body
from kvstore.http.responses import json_response
from kvstore.node.node import Node


def replication_routes(node: Node, check_access: Callable[[], None]) -> Blueprint:
    """Build the routes, whose paths are in ``http_transport.PATHS``.

    :param check_access: raises when the caller may not use these routes.
    """
    routes = Blueprint("replication", __name__)
    routes.before_request(check_access)

    def route(kind: type[Message], path: str) -> None:
        def receive() -> Response:
            answer = node.receive(decode(kind, read_body(BODY_LIMIT)))
            return json_response(answer, 200 if answer.error is None else 409)

        routes.add_url_rule(path, kind.__name__, receive, methods=["POST"])

    for kind, path in PATHS.items():
        route(kind, path)
    return routes
