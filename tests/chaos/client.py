"""One operation of a client on one node, and what its answer means.

A write that got no answer, or 504, is open: it may take effect at any later time, or never. It is
refused only if the node has said so, or could not be reached at all.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from analysis.nodes.node import Node
from analysis.nodes.node_client import key_path
from tests.chaos.history import Attempt, Operation, Outcome, Precondition, expand, shorten
from tests.chaos.recorder import Recorder

REFUSALS = frozenset({400, 403, 412, 503})
"""A write answered like this has not happened and never will."""

_PAUSE_BEFORE_REPEAT_S = 0.1


@dataclass(frozen=True, slots=True)
class Write:
    """What a client wants to be written.

    :param value: ``None`` for a delete.
    :param idempotency_key: under which it is repeated while its outcome is open; ``None`` = it is
        not repeated.
    """

    key: str
    value: str | None
    precondition: Precondition | None = None
    idempotency_key: str | None = None


class Client:
    """One client, with one operation at a time.

    :param recorder: gets every operation.
    :param pause: waits, for at most the seconds given.
    """

    def __init__(self, name: str, recorder: Recorder, pause: Callable[[float], None]) -> None:
        self.name = name
        self._recorder = recorder
        self._pause = pause

    def write(self, node: Node, write: Write, timeout_s: float, attempts: int = 1) -> Operation:
        """Put or delete.

        :param timeout_s: how long the client waits for an answer.
        :param attempts: how often it tries while the outcome is open; more than 1 needs an
            idempotency key.
        """
        assert attempts == 1 or write.idempotency_key is not None, "a repeat would write twice"
        number = self._recorder.next_id()
        made: list[Attempt] = []
        open_version: int | None = None
        while True:
            attempt, answer, outcome = self._try_write(node, write, timeout_s)
            made.append(attempt)
            document = _document(answer)
            if outcome == "open":
                open_version = document.get("version") or open_version
            if outcome == "confirmed" or (outcome == "refused" and len(made) == 1):
                break
            if len(made) >= attempts:
                # A refused repeat says nothing of the requests before it.
                outcome, document = "open", {"version": open_version}
                break
            self._pause(_PAUSE_BEFORE_REPEAT_S)
        operation = Operation(
            id=number,
            client=self.name,
            node=node.name,
            kind="delete" if write.value is None else "put",
            key=write.key,
            start_ns=made[0].start_ns,
            end_ns=made[-1].end_ns,
            outcome=outcome,
            attempts=made,
            value=write.value,
            version=None if outcome == "refused" else document.get("version"),
            replicas=document.get("replicas_confirmed") if outcome == "confirmed" else None,
            precondition=write.precondition,
        )
        self._recorder.operation(operation)
        return operation

    def read(
        self, node: Node, key: str, timeout_s: float, min_version: int | None = None
    ) -> Operation:
        """Get a key, perhaps only once the node has applied an index."""
        number = self._recorder.next_id()
        query = "" if min_version is None else f"?min_version={min_version}"
        attempt, answer, _ = self._request(node, "GET", key_path("kv", key) + query, timeout_s)
        document = _document(answer)
        outcome: Outcome = "unavailable"
        if answer is not None and answer.status_code == 200:
            outcome = "found"
        elif answer is not None and answer.status_code == 404:
            outcome = "absent"
        operation = Operation(
            id=number,
            client=self.name,
            node=node.name,
            kind="read",
            key=key,
            start_ns=attempt.start_ns,
            end_ns=attempt.end_ns,
            outcome=outcome,
            attempts=[attempt],
            value=_text(document.get("value")) if outcome == "found" else None,
            version=document.get("version") if outcome == "found" else None,
            min_version=min_version,
        )
        self._recorder.operation(operation)
        return operation

    def _try_write(
        self, node: Node, write: Write, timeout_s: float
    ) -> tuple[Attempt, requests.Response | None, Outcome]:
        headers = {}
        if write.idempotency_key is not None:
            headers["Idempotency-Key"] = write.idempotency_key
        if write.precondition is not None and write.precondition.version is None:
            headers["If-None-Match"] = "*"
        elif write.precondition is not None:
            headers["If-Match"] = f'"{write.precondition.version}"'
        body = None if write.value is None else {"value": expand(write.value)}
        method = "DELETE" if write.value is None else "PUT"
        attempt, answer, was_sent = self._request(
            node, method, key_path("kv", write.key), timeout_s, body=body, headers=headers
        )
        if answer is None:
            return attempt, None, "open" if was_sent else "refused"
        if answer.status_code == 200:
            return attempt, answer, "confirmed"
        return attempt, answer, "refused" if answer.status_code in REFUSALS else "open"

    def _request(
        self,
        node: Node,
        method: str,
        target: str,
        timeout_s: float,
        *,
        body: Any = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[Attempt, requests.Response | None, bool]:
        """Send one request.

        :return: the attempt, its answer, and whether the node may have received it.
        """
        start_ns = self._recorder.now_ns()
        answer: requests.Response | None = None
        was_sent = True
        try:
            answer = node.request(method, target, json=body, headers=headers, timeout_s=timeout_s)
            outcome: int | str = answer.status_code
        except requests.RequestException as error:
            was_sent = _was_sent(error)
            outcome = type(error).__name__ if was_sent else f"{type(error).__name__}, never sent"
        return Attempt(start_ns, self._recorder.now_ns(), outcome), answer, was_sent


def _document(answer: requests.Response | None) -> dict[str, Any]:
    if answer is None:
        return {}
    try:
        document = answer.json()
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _text(value: object) -> str:
    # Clients write text only; anything else must show up as a value that nobody wrote.
    return shorten(value) if isinstance(value, str) else f"not text: {value!r}"


def _was_sent(error: requests.RequestException) -> bool:
    """Whether a request without an answer may have reached the node."""
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return not isinstance(reason, NewConnectionError | ConnectTimeoutError)
