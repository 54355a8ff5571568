"""The routes open to everyone: liveness, readiness, status, and the description of the API."""

from flask import Blueprint, Response

from kvstore.api_types import Live, Readiness
from kvstore.http.openapi import openapi_document
from kvstore.http.responses import json_response
from kvstore.node.node import Node


def status_routes(node: Node, max_key_bytes: int) -> Blueprint:
    """Build the routes.

    :param max_key_bytes: limit of a key.
    """
    routes = Blueprint("status", __name__)
    document = openapi_document(max_key_bytes)

    @routes.get("/livez")
    def livez() -> Response:
        return json_response(Live(live=True))

    @routes.get("/readyz")
    def readyz() -> Response:
        status = node.status()
        readiness = Readiness(
            ready=node.ready,
            state=status.state,
            waiting_for=status.waiting_for,
            problem=status.problem,
        )
        return json_response(readiness, 200 if readiness.ready else 503)

    @routes.get("/status")
    def status() -> Response:
        return json_response(node.status())

    @routes.get("/openapi.json")
    def openapi() -> Response:
        return json_response(document)

    return routes
