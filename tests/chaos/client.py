"""One operation of a client on one node, and what its answer means.

A write that got no answer, or 504, is open: it may take effect at any later time, or never. It is
refused only if the node has said so, or could not be reached at all.
"""

import time
from dataclasses import dataclass
from typing import Any

import requests
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError

from analysis.nodes.node import Node
from kvstore.client.node_client import key_path
from tests.chaos.history import Operation, Outcome, Precondition, brief
from tests.chaos.recorder import Recorder

NEVER_SENT = "never sent"
REFUSALS = frozenset({400, 403, 412, 503, NEVER_SENT})
"""A write answered like this has not happened and never will."""
ATTEMPTS = 4
"""How often a write with an idempotency key is tried while its outcome is open."""

TIMEOUT_S = 2.5  # longer than a node may take, if it is neither dead nor frozen

_READ_OUTCOMES: dict[int | str, Outcome] = {200: "found", 404: "absent"}
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

    def send(self, node: Node, timeout_s: float) -> tuple[int | str, dict[str, Any]]:
        """Send it once; returns like :func:`_request`."""
        headers = {}
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        if self.precondition is not None and self.precondition.version is None:
            headers["If-None-Match"] = "*"
        elif self.precondition is not None:
            headers["If-Match"] = f'"{self.precondition.version}"'
        method = "DELETE" if self.value is None else "PUT"
        body = None if self.value is None else {"value": self.value}
        path = key_path("kv", self.key)
        return _request(node, method, path, timeout_s, json=body, headers=headers)


@dataclass(frozen=True, slots=True)
class Batch:
    """Writes that a client wants to be done together; none has a precondition or a key of its own.

    :param idempotency_key: as of a :class:`Write`.
    """

    writes: list[Write]
    idempotency_key: str | None = None

    def send(self, node: Node, timeout_s: float) -> tuple[int | str, dict[str, Any]]:
        """Send it once, like :meth:`Write.send`; the document has the version of its last write."""
        operations = [
            {"operation": "delete", "key": write.key}
            if write.value is None
            else {"operation": "put", "key": write.key, "value": write.value}
            for write in self.writes
        ]
        key = self.idempotency_key
        headers = {} if key is None else {"Idempotency-Key": key}
        body = {"operations": operations}
        answer, document = _request(node, "POST", "/batch", timeout_s, json=body, headers=headers)
        if answer == 200:
            document["version"] = document["results"][-1]["version"]
        return answer, document


class Client:
    """One client, with one operation at a time.

    :param recorder: gets every operation.
    """

    def __init__(self, name: str, recorder: Recorder) -> None:
        self.name = name
        self._recorder = recorder

    def write(self, node: Node, write: Write, timeout_s: float = TIMEOUT_S) -> Operation:
        """Put or delete.

        :param timeout_s: how long the client waits for an answer.
        """
        [operation] = self._write(node, write, [write], timeout_s)
        return operation

    def batch(self, node: Node, batch: Batch, timeout_s: float = TIMEOUT_S) -> list[Operation]:
        """Put and delete several keys in one request: operations at the same time."""
        return self._write(node, batch, batch.writes, timeout_s)

    def _write(
        self, node: Node, what: Write | Batch, writes: list[Write], timeout_s: float
    ) -> list[Operation]:
        attempts = 1 if what.idempotency_key is None else ATTEMPTS
        start_ns = self._recorder.now_ns()
        answers: list[int | str] = []
        version: int | None = None
        while True:
            answer, document = what.send(node, timeout_s)
            answers.append(answer)
            outcome = _outcome_of_write(answer)
            if outcome == "confirmed":
                version = document.get("version")
                break
            if outcome == "refused" and len(answers) == 1:
                break
            if outcome == "open":
                version = document.get("version", version)
            if len(answers) == attempts:
                outcome = "open"  # a refused repeat says nothing of the requests before it
                break
            time.sleep(_PAUSE_BEFORE_REPEAT_S)
        return [
            self._record(
                node=node.name,
                kind="delete" if write.value is None else "put",
                key=write.key,
                start_ns=start_ns,
                outcome=outcome,
                answers=answers,
                value=None if write.value is None else brief(write.value),
                version=None if version is None else version - later,
                replicas=document.get("replicas_confirmed") if outcome == "confirmed" else None,
                precondition=write.precondition,
            )
            for later, write in zip(reversed(range(len(writes))), writes, strict=True)
        ]

    def read(
        self,
        node: Node,
        key: str,
        timeout_s: float = TIMEOUT_S,
        min_version: int | None = None,
    ) -> Operation:
        """Get a key, perhaps only once the node has applied an index."""
        query = "" if min_version is None else f"?min_version={min_version}"
        start_ns = self._recorder.now_ns()
        answer, document = _request(node, "GET", key_path("kv", key) + query, timeout_s)
        outcome = _READ_OUTCOMES.get(answer, "unavailable")
        return self._record(
            node=node.name,
            kind="read",
            key=key,
            start_ns=start_ns,
            outcome=outcome,
            answers=[answer],
            value=_text(document.get("value")) if outcome == "found" else None,
            version=document.get("version") if outcome == "found" else None,
            min_version=min_version,
        )

    def _record(self, **fields: Any) -> Operation:
        number, end_ns = next(self._recorder.ids), self._recorder.now_ns()
        operation = Operation(id=number, client=self.name, end_ns=end_ns, **fields)
        self._recorder.operation(operation)
        return operation


def _outcome_of_write(answer: int | str) -> Outcome:
    if answer == 200:
        return "confirmed"
    return "refused" if answer in REFUSALS else "open"


def _request(
    node: Node, method: str, path: str, timeout_s: float, **other: Any
) -> tuple[int | str, dict[str, Any]]:
    """Send one request.

    :return: the status, or why there is none; and the document, empty when there is none.
    """
    try:
        answer = node.request(method, path, timeout_s=timeout_s, **other)
    except requests.RequestException as error:
        return type(error).__name__ if _may_have_arrived(error) else NEVER_SENT, {}
    try:
        document = answer.json()
    except ValueError:
        return answer.status_code, {}
    return answer.status_code, document if isinstance(document, dict) else {}


def _may_have_arrived(error: requests.RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    return not isinstance(reason, NewConnectionError | ConnectTimeoutError)


def _text(value: object) -> str:
    # Clients write text only; anything else must show up as a value that nobody wrote.
    return brief(value) if isinstance(value, str) else f"not text: {value!r}"
