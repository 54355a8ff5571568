"""The routes for the leader: every message of the replication protocol, on a follower."""

from collections.abc import Callable

from flask import Blueprint, Response

from kvstore.core.errors import NotFollower
from kvstore.core.messages import BODY_LIMIT, Message, decode
from kvstore.http.http_transport import PATHS
from kvstore.http.request_parts import read_body
from kvstore.http.responses import json_response
from kvstore.node.follower_node import FollowerNode
from kvstore.node.leader_node import LeaderNode


def replication_api(node: LeaderNode | FollowerNode, check_access: Callable[[], None]) -> Blueprint:
    """Build the routes.

    :param node: a leader refuses every message: it takes no orders.
    :param check_access: raises when the caller may not use these routes.
    """
    api = Blueprint("replication", __name__)
    api.before_request(check_access)

    def route(kind: type[Message], path: str) -> None:
        def receive() -> Response:
            message = decode(kind, read_body(BODY_LIMIT))
            if isinstance(node, LeaderNode):
                raise NotFollower
            answer = node.receive(message)
            return json_response(answer, 200 if answer.error is None else 409)

        api.add_url_rule(path, kind.__name__, receive, methods=["POST"])

    for kind, path in PATHS.items():
        route(kind, path)
    return api
