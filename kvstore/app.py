"""The composition root: the only place that knows both HTTP and roles."""

import logging
import secrets
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import gevent
from flask import Flask, request
from werkzeug.exceptions import HTTPException

from kvstore.config import Settings
from kvstore.core import errors
from kvstore.core.follower import Follower
from kvstore.core.leader import Leader
from kvstore.core.leader_log import LogLimits
from kvstore.http.access import access_check
from kvstore.http.admin_routes import admin_routes
from kvstore.http.client_routes import client_routes
from kvstore.http.http_transport import HttpTransport
from kvstore.http.metrics_routes import metrics_routes
from kvstore.http.replication_routes import ReplicationRoutes
from kvstore.http.request_figures import RequestFigures
from kvstore.http.request_parts import KeyConverter, check_target
from kvstore.http.responses import error_response, http_error_response, internal_error_response
from kvstore.http.status_routes import status_routes
from kvstore.http.watch_routes import watch_routes
from kvstore.node.delay import DelayRange
from kvstore.node.follower_node import FollowerNode
from kvstore.node.leader_node import LeaderNode
from kvstore.node.node import Node
from kvstore.node.sqlite_storage import SqliteStorage
from kvstore.node.storage import MemoryStorage, Storage
from kvstore.node.transport import Transport

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

logger = logging.getLogger("kvstore")

TAKE_A_QUERY = ("client.get", "admin.exchanges", "watch.watch")
"""The endpoints that take a query."""


def create_node(settings: Settings) -> Node:
    """Build the node that the settings describe; it starts working with ``start()``.

    :raises StorageError: its data directory cannot be used.
    """
    storage = _create_storage(settings)
    limits = LogLimits(retain=settings.log_retain)
    state = storage.load()
    if settings.role == "follower":
        follower = Follower(state, limits.retain, limits.retain_bytes)
        return FollowerNode(follower, storage, settings.repl_timeout_s)
    leader = Leader(
        state,
        list(settings.followers),
        settings.write_quorum,
        url=settings.advertise_url,
        limits=limits,
        new_id=_new_id,
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    # Half of the time that a write may wait, so that a lost request can be sent again.
    request_timeout_s = settings.repl_timeout_s / 2

    def connect(address: str) -> Transport:
        return HttpTransport(address, request_timeout_s, settings.cluster_token)

    delay_range = DelayRange(settings.min_delay_ms, settings.max_delay_ms)
    return LeaderNode(leader, storage, connect, delay_range, settings.repl_timeout_s)


def create_app(settings: Settings, node: Node) -> Flask:
    """Build the flask app that serves a node."""
    app = Flask("kvstore", static_folder=None)
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    app.url_map.converters["key"] = KeyConverter
    app.before_request(_check_target)
    app.register_error_handler(errors.KvstoreError, error_response)
    app.register_error_handler(HTTPException, http_error_response)
    app.register_error_handler(Exception, internal_error_response)
    check_access = access_check(settings.cluster_token)
    app.register_blueprint(client_routes(node, settings.max_key_bytes, settings.max_value_bytes))
    app.register_blueprint(admin_routes(node, check_access))
    app.register_blueprint(status_routes(node, settings.max_key_bytes))
    app.register_blueprint(watch_routes(node))
    app.extensions["kvstore"] = node
    figures = RequestFigures(_fair(ReplicationRoutes(app.wsgi_app, node, check_access)))
    app.register_blueprint(metrics_routes(node, figures, check_access))
    app.wsgi_app = figures  # type: ignore[method-assign]
    return app


def _create_storage(settings: Settings) -> Storage:
    if settings.data_dir is None:
        return MemoryStorage(node=_new_id())
    return SqliteStorage(settings.data_dir)


def _fair(wsgi_app: "WSGIApplication") -> "WSGIApplication":
    """Give other connections a turn before every request.

    gunicorn serves a kept-alive connection in a loop that does not switch while data is there;
    with many busy clients some would starve for seconds.
    """

    def serve(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        gevent.sleep(0)
        return wsgi_app(environ, start_response)

    return serve


def _check_target() -> None:
    # Where no route matches, flask says so.
    takes_query = request.url_rule is None or request.endpoint in TAKE_A_QUERY
    check_target(request.environ, takes_query=takes_query)


def _new_id() -> str:
    return secrets.token_hex(8)
