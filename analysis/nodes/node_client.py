"""What the study asks the nodes, over HTTP."""

from typing import Any, Self

import requests

from analysis.nodes.cluster_token import token_headers
from analysis.nodes.copies import Copy
from analysis.nodes.errors import CopyError, NodeUnavailableError

TIMEOUT_S = 5.0
STATUS_FIELDS = frozenset({"role", "node", "last_index"})


class NodeClient:
    """One node, seen from outside, over one kept connection.

    :param url: base URL; a trailing slash is ignored.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update(token_headers())
        self._session.trust_env = False  # straight to the node, without a proxy

    def status(self) -> dict[str, Any]:
        """``GET /status``.

        :raises NodeUnavailableError: without an answer 200 that is a node's.
        """
        status = self._ask("GET", "/status")
        missing = STATUS_FIELDS - set(status)
        if missing:
            raise NodeUnavailableError(f"{self.url}/status has no {', '.join(sorted(missing))}")
        return status

    def copy(self) -> Copy:
        """``GET /admin/store``: everything the node serves, at one index.

        :raises NodeUnavailableError: without an answer 200 that is a copy.
        """
        try:
            return Copy.parse(self._ask("GET", "/admin/store"))
        except CopyError as error:
            raise NodeUnavailableError(f"{self.url}: {error}") from error

    def set_quorum(self, write_quorum: int) -> None:
        """``POST /admin/set_quorum``; raises :class:`NodeUnavailableError` when it is refused."""
        self._ask("POST", "/admin/set_quorum", {"quorum": write_quorum})

    def set_delay(self, min_ms: float, max_ms: float) -> None:
        """``POST /admin/set_delay``; raises :class:`NodeUnavailableError` when it is refused."""
        self._ask("POST", "/admin/set_delay", {"min_ms": min_ms, "max_ms": max_ms})

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, path: str, body: dict[str, float] | None = None) -> dict[str, Any]:
        try:
            answer = self._session.request(method, self.url + path, json=body, timeout=TIMEOUT_S)
            decoded = answer.json() if answer.status_code == 200 else None
        except (requests.RequestException, ValueError) as error:
            raise NodeUnavailableError(f"{self.url}{path}: {type(error).__name__}") from error
        if not isinstance(decoded, dict):
            text = answer.text.strip()[:200]
            raise NodeUnavailableError(f"{self.url}{path}: HTTP {answer.status_code} {text}")
        return decoded
