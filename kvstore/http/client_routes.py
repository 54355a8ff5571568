"""The routes for clients: put, get and delete, and batches of puts and deletes."""

from flask import Blueprint, Response, request
from gevent.hub import get_hub
from msgspec import Raw

from kvstore.api_types import APPLIED_INDEX, NotFound
from kvstore.core.entries import Operation
from kvstore.core.errors import OutcomeUnknown, WriteRefused
from kvstore.core.leader_log import Write
from kvstore.core.preconditions import Precondition
from kvstore.http.batch_body import limit_bytes, operations_of
from kvstore.http.batch_request import batch_of
from kvstore.http.parser_pool import ParserPool
from kvstore.http.parser_process import Parse, value_of
from kvstore.http.request_parts import (
    check_key,
    idempotency_key,
    query_number,
    read_body,
    version_tags,
    whole_body,
)
from kvstore.http.responses import is_large, item_response, json_response
from kvstore.node.node import Node

BODY_PER_VALUE = 3
"""A body may be larger than its value: \\u escapes take up to three times the UTF-8 bytes."""
BODY_EXTRA_BYTES = 4096
BATCH_EXTRA_BYTES = 1 << 20
"""Of a batch's body, for what is neither key nor value: a kibibyte for each operation."""


def client_routes(node: Node, max_key_bytes: int, max_value_bytes: int) -> Blueprint:
    """Build the routes.

    :param node: what serves them.
    """
    routes = Blueprint("client", __name__)
    parsers = ParserPool()

    @routes.route("/put/<key:key>", methods=["PUT", "POST"])
    @routes.route("/kv/<key:key>", methods=["PUT"])
    def put(key: str) -> Response:
        node.check_leads()
        check_key(key, max_key_bytes)
        body_bytes = max_value_bytes * BODY_PER_VALUE + BODY_EXTRA_BYTES
        return _write(node, "put", key, _read(parsers, value_of, body_bytes, max_value_bytes))

    @routes.route("/delete/<key:key>", methods=["DELETE"])
    @routes.route("/kv/<key:key>", methods=["DELETE"])
    def delete(key: str) -> Response:
        node.check_leads()
        check_key(key, max_key_bytes)
        # It has no meaning here, but only a complete request is executed.
        read_body(request.environ, BODY_EXTRA_BYTES)
        return _write(node, "delete", key, None)

    @routes.post("/batch")
    def batch() -> Response:
        node.check_leads()
        body_bytes = limit_bytes(max_value_bytes) * BODY_PER_VALUE + BATCH_EXTRA_BYTES
        lines = _read(parsers, operations_of, body_bytes, max_value_bytes)
        requested = batch_of(lines, idempotency_key(request.environ), max_key_bytes)
        return json_response(node.write_batch(requested))

    @routes.route("/get/<key:key>")
    @routes.route("/kv/<key:key>")
    def get(key: str) -> Response:
        check_key(key, max_key_bytes)
        wanted = Precondition.of(version_tags(request.environ, "If-Match", weak=False), None)
        known = version_tags(request.environ, "If-None-Match", weak=True)
        item = node.read(key, query_number(request.environ, "min_version"))
        headers = {APPLIED_INDEX: str(node.map.position.index)}
        if item is None:
            return json_response(NotFound(found=False), 404, headers)
        wanted.check(item.version)
        headers["ETag"] = f'"{item.version}"'
        if known == "*" or (known is not None and item.version in known):
            return Response(status=304, headers=headers)
        return item_response(item, headers)

    return routes


def _write(node: Node, operation: Operation, key: str, value: Raw | None) -> Response:
    precondition = Precondition.of(
        version_tags(request.environ, "If-Match", weak=False),
        version_tags(request.environ, "If-None-Match", weak=True),
    )
    write = Write(operation, key, value, idempotency_key(request.environ))
    if write.idempotency_key is not None and value is not None and is_large(value):
        # Hashing releases the interpreter's lock: the loop goes on beside the thread.
        get_hub().threadpool.apply(lambda: write.fingerprint)
    written = node.write(write, precondition)
    return json_response(written, 200, {"ETag": f'"{written.version}"'})


def _read(parsers: ParserPool, parse: Parse, body_bytes: int, max_value_bytes: int) -> Raw:
    """Read and parse the body of a write."""
    try:
        with whole_body(request.environ, body_bytes) as parts:
            return parsers.parse(parse, parts, max_value_bytes)
    except WriteRefused:
        # It may be a repeated request, whose first attempt is in the log.
        if idempotency_key(request.environ) is not None:
            raise OutcomeUnknown from None
        raise
