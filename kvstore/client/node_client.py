"""The HTTP API of one node, route by route."""

import threading
from collections.abc import Mapping
from typing import Any, Self, TypeVar
from urllib.parse import quote

import msgspec
import requests

from kvstore.api_types import Delay, Exchange, Exchanges, Quorum, Status, Store, Written
from kvstore.client.errors import NodeUnavailableError

Body = TypeVar("Body", bound=msgspec.Struct)


class NodeClient:
    """One node, seen from outside; every thread has a connection of its own.

    :param url: base URL; a trailing slash is ignored.
    :param headers: sent with every request.
    :param timeout_s: how long to wait for an answer, unless a request says otherwise.
    """

    def __init__(
        self, url: str, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> None:
        self.url = url.rstrip("/")
        self._headers = dict(headers or {})
        self._timeout_s = timeout_s
        self._thread = threading.local()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float | None = None,
        stream: bool = False,
    ) -> requests.Response:
        """Send a request, and return its answer whatever that is.

        :param path: percent-encoded, with the query.
        :param json: a body to send as JSON; ``None`` for none.
        :param body: a body to send as it is, instead of ``json``.
        :param timeout_s: how long to wait for the answer; ``None`` = as long as usual.
        :param stream: whether the caller reads the body, part by part, and closes it.
        :raises requests.RequestException: there is no answer; whether something happened is open.
        """
        session = self._session()
        request = session.prepare_request(
            requests.Request(method, self.url, json=json, data=body, headers=headers)
        )
        # Set afterwards: a key "." or ".." would be taken for a step in the path, and removed.
        request.url = self.url + path
        timeout_s = timeout_s or self._timeout_s
        return session.send(request, timeout=timeout_s, allow_redirects=False, stream=stream)

    # Keys

    def put(self, key: str, value: Any, **headers: str) -> requests.Response:
        """``PUT /put/<key>``.

        :param headers: their names with ``_`` for ``-``.
        """
        body = {"value": value}
        return self.request("PUT", key_path("put", key), json=body, headers=_names(headers))

    def get(self, key: str, min_version: int | None = None, **headers: str) -> requests.Response:
        """``GET /get/<key>``; headers as in :meth:`put`."""
        query = "" if min_version is None else f"?min_version={min_version}"
        return self.request("GET", key_path("get", key) + query, headers=_names(headers))

    def delete(self, key: str, **headers: str) -> requests.Response:
        """``DELETE /delete/<key>``; headers as in :meth:`put`."""
        return self.request("DELETE", key_path("delete", key), headers=_names(headers))

    def batch(self, operations: list[Any], **headers: str) -> requests.Response:
        """``POST /batch``; headers as in :meth:`put`.

        :param operations: as :class:`.BatchBody` describes them.
        """
        body = {"operations": operations}
        return self.request("POST", "/batch", json=body, headers=_names(headers))

    def put_confirmed(self, key: str, value: Any) -> int:
        """Put a value.

        :return: its version.
        :raises NodeUnavailableError: it was not confirmed.
        """
        return _confirmed(self.put(key, value), Written).version

    def delete_confirmed(self, key: str) -> int:
        """Delete a key; like :meth:`put_confirmed`."""
        return _confirmed(self.delete(key), Written).version

    # The node

    def is_ready(self) -> bool:
        """Whether ``GET /readyz`` is answered with 200; raises like :meth:`request`."""
        return self.request("GET", "/readyz").status_code == 200

    def status(self, timeout_s: float | None = None) -> Status:
        """``GET /status``.

        :param timeout_s: as in :meth:`request`.
        :raises NodeUnavailableError: without an answer 200 that is a node's.
        """
        return self._ask(Status, "GET", "/status", timeout_s=timeout_s)

    def copy(self) -> Store:
        """``GET /admin/store``: everything the node serves, at one index.

        :raises NodeUnavailableError: without an answer 200 that is a copy.
        """
        return self._ask(Store, "GET", "/admin/store")

    def set_quorum(self, write_quorum: int) -> None:
        """``POST /admin/set_quorum``; raises :class:`NodeUnavailableError` when it is refused."""
        self._ask(Quorum, "POST", "/admin/set_quorum", Quorum(write_quorum))

    def set_delay(self, min_ms: float, max_ms: float, follower: str | None = None) -> None:
        """``POST /admin/set_delay``; raises :class:`NodeUnavailableError` when it is refused.

        :param follower: address of the only one that it is for.
        """
        self._ask(Delay, "POST", "/admin/set_delay", Delay(min_ms, max_ms, follower))

    def exchanges(self, after: int = 0) -> list[Exchange]:
        """``GET /admin/exchanges``: the newest exchanges with the followers, oldest first.

        :param after: the number of the last one that is not wanted.
        :raises NodeUnavailableError: as :meth:`status` does.
        """
        return self._ask(Exchanges, "GET", f"/admin/exchanges?after={after}").exchanges

    def close(self) -> None:
        """Close the connection of the calling thread."""
        self._session().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(
        self,
        kind: type[Body],
        method: str,
        path: str,
        body: msgspec.Struct | None = None,
        timeout_s: float | None = None,
    ) -> Body:
        json = None if body is None else msgspec.to_builtins(body)
        try:
            answer = self.request(method, path, json=json, timeout_s=timeout_s)
        except requests.RequestException as error:
            raise NodeUnavailableError(f"{self.url}{path}: {type(error).__name__}") from error
        return _confirmed(answer, kind)

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._thread, "session", None)
        if session is None:
            session = self._thread.session = requests.Session()
            session.headers.update(self._headers)
            session.trust_env = False  # straight to the node, without a proxy
        return session


def key_path(route: str, key: str) -> str:
    """The path of a route about one key, with every reserved character percent-encoded.

    :param route: such as ``put``.
    """
    return f"/{route}/{quote(key, safe='')}"


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def decode(answer: requests.Response, kind: type[Body]) -> Body:
    """Read the body of an answer, whatever its status.

    :param kind: what it must be, one of :mod:`kvstore.api_types`.
    :raises NodeUnavailableError: it is something else.
    """
    try:
        return msgspec.json.decode(answer.content, type=kind)
    except ValueError as error:
        raise NodeUnavailableError(f"{_describe(answer)}: {error}") from error


def _confirmed(answer: requests.Response, kind: type[Body]) -> Body:
    if answer.status_code != 200:
        raise NodeUnavailableError(_describe(answer))
    return decode(answer, kind)


def _describe(answer: requests.Response) -> str:
    return f"{answer.url}: HTTP {answer.status_code} {answer.text.strip()[:300]}"
