"""The routes for the leader: every message of the replication protocol, on a follower."""

from collections.abc import Callable

from flask import Blueprint, Response

from kvstore.errors import NotFollower
from kvstore.follower_node import FollowerNode
from kvstore.http_transport import PATHS
from kvstore.leader_node import LeaderNode
from kvstore.messages import BODY_LIMIT, Message, decode
from kvstore.request_parts import read_body
from kvstore.responses import json_response


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
