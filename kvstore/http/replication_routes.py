"""The routes for the leader: every message of the replication protocol, on a follower.

A follower answers one for every few writes, so they are answered before flask is entered.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.exceptions import MethodNotAllowed

from kvstore.core.errors import KvstoreError
from kvstore.core.messages import BODY_LIMIT, Message, decode, encode
from kvstore.http.access import AccessCheck
from kvstore.http.http_transport import PATHS
from kvstore.http.request_parts import check_target, read_body
from kvstore.http.responses import error_response, http_error_response, internal_error_response
from kvstore.node.node import Node

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_KINDS = {path: kind for kind, path in PATHS.items()}


class ReplicationRoutes:
    """A WSGI application in front of another one: it answers the paths of ``PATHS`` itself.

    :param others: answers all other paths.
    :param check_access: raises when the caller may not use these routes.
    """

    def __init__(self, others: "WSGIApplication", node: Node, check_access: AccessCheck) -> None:
        self._others = others
        self._node = node
        self._check_access = check_access

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        kind = _KINDS.get(environ["PATH_INFO"])
        if kind is None:
            return self._others(environ, start_response)
        try:
            status, body = self._answer(kind, environ)
        except KvstoreError as error:
            return error_response(error)(environ, start_response)
        except MethodNotAllowed as error:
            return http_error_response(error)(environ, start_response)
        except Exception as error:  # noqa: BLE001 (as flask does)
            return internal_error_response(error)(environ, start_response)
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(status, headers)
        return [body]

    def _answer(self, kind: type[Message], environ: "WSGIEnvironment") -> tuple[str, bytes]:
        is_post = environ["REQUEST_METHOD"] == "POST"
        check_target(environ, takes_query=not is_post)
        if not is_post:
            raise MethodNotAllowed(["POST"])
        self._check_access(environ)
        answer = self._node.receive(decode(kind, read_body(environ, BODY_LIMIT)))
        return "200 OK" if answer.error is None else "409 CONFLICT", encode(answer)
