"""The routes for clients: put, get and delete."""

import re

from flask import Blueprint, Response, request
from msgspec import Raw
from werkzeug.datastructures import ETags

from kvstore import strict_json
from kvstore.entries import Operation
from kvstore.errors import InvalidRequest, NotLeader, TooLarge
from kvstore.follower_node import FollowerNode
from kvstore.leader_log import Write
from kvstore.leader_node import LeaderNode
from kvstore.preconditions import Precondition
from kvstore.request_parts import check_key, min_version, read_body
from kvstore.responses import json_response

BODY_PER_VALUE = 3
"""A body may be larger than its value: \\u escapes take up to three times the UTF-8 bytes."""
BODY_EXTRA_BYTES = 4096


def client_api(
    node: LeaderNode | FollowerNode, max_key_bytes: int, max_value_bytes: int
) -> Blueprint:
    """Build the routes.

    :param node: what serves them.
    """
    api = Blueprint("client", __name__)

    @api.route("/put/<key:key>", methods=["PUT", "POST"])
    @api.route("/kv/<key:key>", methods=["PUT"])
    def put(key: str) -> Response:
        leader = _leader(node)
        check_key(key, max_key_bytes)
        body = read_body(max_value_bytes * BODY_PER_VALUE + BODY_EXTRA_BYTES)
        return _write(leader, "put", key, _value(body, max_value_bytes))

    @api.route("/delete/<key:key>", methods=["DELETE"])
    @api.route("/kv/<key:key>", methods=["DELETE"])
    def delete(key: str) -> Response:
        leader = _leader(node)
        check_key(key, max_key_bytes)
        return _write(leader, "delete", key, None)

    @api.route("/get/<key:key>")
    @api.route("/kv/<key:key>")
    def get(key: str) -> Response:
        check_key(key, max_key_bytes)
        item = node.read(key, min_version())
        if item is None:
            return json_response({"found": False}, 404)
        etag = {"ETag": f'"{item.version}"'}
        if request.if_none_match and request.if_none_match.contains(str(item.version)):
            return Response(status=304, headers=etag)
        return json_response(
            {"found": True, "value": item.value, "version": item.version}, 200, etag
        )

    return api


def _leader(node: LeaderNode | FollowerNode) -> LeaderNode:
    if isinstance(node, FollowerNode):
        raise NotLeader(node.leader)
    return node


def _write(leader: LeaderNode, operation: Operation, key: str, value: Raw | None) -> Response:
    write = Write(operation, key, value, _idempotency_key())
    confirmed = leader.write(write, _precondition())
    body = {
        "status": "ok",
        "key": key,
        "version": confirmed.version,
        "replicas_confirmed": confirmed.replicas_confirmed,
    }
    return json_response(body, 200, {"ETag": f'"{confirmed.version}"'})


def _value(body: bytes, max_bytes: int) -> Raw:
    document = strict_json.parse(body)
    if not isinstance(document, dict) or "value" not in document:
        raise InvalidRequest('the body must be an object with a "value"')
    value = strict_json.canonical(document["value"])
    if len(value) > max_bytes:
        raise TooLarge(f"the value is larger than {max_bytes} bytes")
    return Raw(value)


def _idempotency_key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not re.fullmatch(r"[\x21-\x7e]{1,255}", key):
        raise InvalidRequest("Idempotency-Key must be 1 to 255 printable ASCII characters")
    return key


def _precondition() -> Precondition:
    match, none_match = request.if_match, request.if_none_match
    exists: bool | None = None
    if match.star_tag:
        exists = True
    elif none_match.star_tag:
        exists = False
    return Precondition(
        versions=_versions(match) if "If-Match" in request.headers and not match.star_tag else None,
        not_versions=_versions(none_match) if none_match else None,
        exists=exists,
    )


def _versions(etags: ETags) -> frozenset[int]:
    return frozenset(int(tag) for tag in etags.as_set() if tag.isdigit())
