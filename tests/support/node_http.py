"""One node's HTTP API, as the tests use it."""

import threading
from typing import Any
from urllib.parse import quote

import requests

from analysis.nodes.copies import Copy
from tests.support.waiting import wait_until

TIMEOUT_S = 30.0


class NodeHttp:
    """Requests to one node; every thread has a connection of its own.

    :param url: base URL without a trailing slash.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._local = threading.local()

    def request(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> requests.Response:
        """Send a request.

        :param path: percent-encoded, with the query.
        :param json: a body to send as JSON; ``None`` for none.
        :param body: a body to send as it is, instead of ``json``.
        :raises requests.RequestException: there is no answer; whether something happened is open.
        """
        return self._session().request(
            method,
            self.url + path,
            json=json,
            data=body,
            headers=headers,
            timeout=timeout_s,
            allow_redirects=False,
        )

    def put(self, key: str, value: Any, **headers: str) -> requests.Response:
        """``PUT /put/<key>``.

        :param headers: their names with ``_`` for ``-``.
        """
        return self.request("PUT", path("put", key), json={"value": value}, headers=_names(headers))

    def get(self, key: str, min_version: int | None = None, **headers: str) -> requests.Response:
        """``GET /get/<key>``."""
        query = "" if min_version is None else f"?min_version={min_version}"
        return self.request("GET", path("get", key) + query, headers=_names(headers))

    def delete(self, key: str, **headers: str) -> requests.Response:
        """``DELETE /delete/<key>``."""
        return self.request("DELETE", path("delete", key), headers=_names(headers))

    def put_confirmed(self, key: str, value: Any) -> int:
        """Put a value that must be confirmed.

        :return: its version.
        """
        return _version(self.put(key, value))

    def delete_confirmed(self, key: str) -> int:
        """Delete a key, which must be confirmed.

        :return: the version of the delete.
        """
        return _version(self.delete(key))

    def status(self) -> dict[str, Any]:
        """``GET /status``; the node must answer it."""
        return _document(self.request("GET", "/status"))

    def follower_status(self, address: str) -> dict[str, Any]:
        """What a leader's ``/status`` says of one follower.

        :param address: as it stands in the leader's FOLLOWERS.
        """
        found = [f for f in self.status()["followers"] if f["address"] == address]
        assert len(found) == 1, f"{address} stands {len(found)} times in {self.url}/status"
        follower: dict[str, Any] = found[0]
        return follower

    def store(self) -> Copy:
        """``GET /admin/store``; the node must answer it."""
        return Copy.parse(_document(self.request("GET", "/admin/store")))

    def force_start(self, without: list[str] | None = None) -> dict[str, Any]:
        """``POST /admin/force_start``, until the node has asked those that are missing in vain.

        :param without: addresses of the nodes that must be missing.
        :return: the last answer.
        """
        given_up: set[str] = set()
        document: dict[str, Any] = {}

        def why_not() -> str | None:
            nonlocal document
            answer = self.request("POST", "/admin/force_start")
            if answer.status_code == 409:
                return answer.text
            document = _document(answer)
            given_up.update(document["without"])
            return None if given_up == set(without or []) else f"it gave up {given_up}"

        wait_until(why_not)
        assert document["status"] == "ok"
        assert "lost" in document["risk"]
        return document

    def set_quorum(self, quorum: int) -> None:
        """``POST /admin/set_quorum``, which must succeed."""
        answer = self.request("POST", "/admin/set_quorum", json={"quorum": quorum})
        assert _document(answer) == {"quorum": quorum}

    def set_delay(self, min_ms: float, max_ms: float) -> None:
        """``POST /admin/set_delay``, which must succeed."""
        body = {"min_ms": min_ms, "max_ms": max_ms}
        assert _document(self.request("POST", "/admin/set_delay", json=body)) == body

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200."""
        return self.request("GET", "/readyz").status_code == 200

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False  # a proxy set in the shell must not see loopback traffic
        return session


def path(route: str, key: str) -> str:
    """The path of a route about one key, with every reserved character percent-encoded.

    :param route: such as ``put``.
    """
    return f"/{route}/{quote(key, safe='')}"


def _names(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _document(answer: requests.Response) -> dict[str, Any]:
    assert answer.status_code == 200, f"{answer.url}: {answer.status_code} {answer.text[:300]}"
    document: dict[str, Any] = answer.json()
    return document


def _version(answer: requests.Response) -> int:
    document = _document(answer)
    assert document["status"] == "ok"
    version: int = document["version"]
    return version
