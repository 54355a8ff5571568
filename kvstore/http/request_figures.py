"""How many requests there were, by route and status, and how long they took."""

import time
from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from kvstore.http.operations import OPERATIONS
from kvstore.node.figures import Distribution, durations

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

OTHER = "other"
"""What stands for every path and every method that the API does not have."""

_KEY = "/{key}"
_WITH_KEY = {
    path.removesuffix(_KEY).removeprefix("/"): path for path in OPERATIONS if path.endswith(_KEY)
}
_METHODS = {"HEAD"} | {method.upper() for methods in OPERATIONS.values() for method in methods}


class RequestFigures:
    """A WSGI application around another one: it counts requests, and measures each until its answer
    begins.

    :ivar seconds: by route, method and status.
    """

    def __init__(self, app: "WSGIApplication") -> None:
        self.seconds: defaultdict[tuple[str, str, str], Distribution] = defaultdict(durations)
        self._app = app

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Serve a request."""
        begin_s = time.perf_counter()
        status = "500"

        def start(text: str, *rest: Any) -> Any:
            nonlocal status
            status = text[:3]
            return start_response(text, *rest)

        answer = self._app(environ, start)
        method = environ["REQUEST_METHOD"]
        labels = (
            route_of(environ["PATH_INFO"]),
            method if method in _METHODS else OTHER,
            status,
        )
        self.seconds[labels].add(time.perf_counter() - begin_s)
        return answer


def route_of(path: str) -> str:
    """The path of the API's table that a request is for, whatever its key."""
    if path in OPERATIONS and _KEY not in path:
        return path
    return _WITH_KEY.get(path.split("/", 2)[1] if path.count("/") > 1 else "", OTHER)
