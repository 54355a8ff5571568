"""The client: finds the leader, repeats what may be repeated, and tells the outcomes apart."""

import time
import uuid
from collections.abc import Generator, Iterable, Mapping, Sequence
from json import dumps
from typing import Any, Literal, NamedTuple, Self, TypeVar
from urllib.parse import SplitResult, urlsplit

import msgspec
import requests

from kvstore.api_types import (
    APPLIED_INDEX,
    BatchRefused,
    BatchWritten,
    Change,
    Delay,
    DeleteOperation,
    Found,
    NotLeader,
    OutcomeOpen,
    PreconditionFailed,
    PutOperation,
    Quorum,
    Status,
    Written,
)
from kvstore.client.answers import complaint, explain, is_never_sent, maybe, refusal, why_unanswered
from kvstore.client.errors import (
    BatchRefusedError,
    ClientError,
    IndefiniteError,
    NodeUnavailableError,
    PreconditionFailedError,
    RefusedError,
)
from kvstore.client.event_stream import watch
from kvstore.client.node_client import NodeClient, key_path
from kvstore.client.routing import Router

Condition = int | Literal["*"]
"""A version, or ``*`` for any."""

ATTEMPT_TIMEOUT_S = 3.0
"""How long a node may take to answer before another is asked; above REPL_TIMEOUT's default."""

_OPEN = 200, 500, 502, 504
"""Statuses that leave a write open: a confirmation that is not a node's, and failures of the node,
or of something before it."""

Confirmed = TypeVar("Confirmed", Written, BatchWritten)


class Item(NamedTuple):
    """What a key holds.

    :param value: any JSON value.
    :param version: index of the entry that wrote it.
    """

    value: Any
    version: int


class Client:
    """A cluster, seen from outside. It may be used by several threads or greenlets at once.

    :param urls: of any nodes of the cluster, also as one text with commas; the leader is found
        through any of them.
    :param token: bearer token of the cluster, for the operators' routes.
    :param timeout_s: how long an operation may take in all, repetitions included.
    :param prefer_followers: read from the followers among the URLs: that spares the leader, but may
        show an older or an unconfirmed value. Otherwise all reads go to the leader, which has the
        newest confirmed one.
    """

    def __init__(
        self,
        urls: str | Iterable[str],
        *,
        token: str | None = None,
        timeout_s: float = 10.0,
        prefer_followers: bool = False,
    ) -> None:
        if timeout_s <= 0:
            raise ValueError("timeout_s must be above 0")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._router = Router(_checked_urls(urls), headers)
        self._timeout_s = timeout_s
        self._prefer_followers = prefer_followers

    # Reads

    def get(self, key: str, *, min_version: int | None = None) -> Item | None:
        """Read a key.

        :param min_version: read from a node that has applied this index, such as the version that
            a write returned.
        :return: None when there is no such key.
        :raises RefusedError: the key is not a valid one.
        :raises NodeUnavailableError: no node has answered before the deadline.
        """
        item, _ = self.read(key, min_version)
        return item

    def read(self, key: str, min_version: int | None = None) -> tuple[Item | None, int]:
        """Like :meth:`get`, with the index that the node had applied."""
        query = "" if min_version is None else f"?min_version={min_version}"
        path = key_path("get", _checked_key(key)) + query
        deadline_s = time.monotonic() + self._timeout_s
        reason = "no node says who leads"
        for node in self._router.to_readers(deadline_s, prefer_followers=self._prefer_followers):
            try:
                answer = node.request("GET", path, timeout_s=_attempt_s(deadline_s))
            except requests.RequestException as error:
                self._router.forget(node)
                reason = why_unanswered(node, error)
                continue
            index = _applied_index(answer)
            if index is not None and (found := maybe(answer, Found)) is not None:
                return Item(found.value, found.version), index
            if index is not None and answer.status_code == 404:
                return None, index
            if (why := refusal(answer)) is not None:
                raise RefusedError(why, answer.status_code)
            self._router.forget(node)
            reason = f"{node.url}: {explain(answer)}"
        raise NodeUnavailableError(f"no node could answer within {self._timeout_s:g} s ({reason})")

    # Writes

    def put(
        self,
        key: str,
        value: Any,
        *,
        if_match: Condition | None = None,
        if_none_match: Condition | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Write a value, and wait until it is confirmed.

        :param value: any JSON value, also None.
        :param if_match: the version that the key must have; ``*`` = any.
        :param if_none_match: the version that the key must not have; ``*`` = any.
        :param idempotency_key: of an earlier call with an open outcome; otherwise a new one.
        :raises RefusedError: it was refused, and never happens.
        :raises IndefiniteError: whether it happens was open until the deadline.
        :raises NodeUnavailableError: no node could be asked before the deadline; it never happens.
        """
        path = key_path("put", _checked_key(key))
        conditions = _conditions(if_match, if_none_match)
        request = _Request("PUT", path, _json({"value": value}), conditions)
        return self._write(request, idempotency_key, Written)

    def delete(
        self,
        key: str,
        *,
        if_match: Condition | None = None,
        if_none_match: Condition | None = None,
        idempotency_key: str | None = None,
    ) -> Written:
        """Delete a key, whether or not it exists; parameters and errors as :meth:`put` has them."""
        path = key_path("delete", _checked_key(key))
        request = _Request("DELETE", path, None, _conditions(if_match, if_none_match))
        return self._write(request, idempotency_key, Written)

    def compare_and_set(self, key: str, value: Any, version: int | None) -> Written:
        """Write a value if the key has a version still.

        :param version: as a read returned it; None = the key must not exist.
        :raises PreconditionFailedError: it has another one. Other errors as in :meth:`put`.
        """
        if version is None:
            return self.put(key, value, if_none_match="*")
        return self.put(key, value, if_match=version)

    def batch(
        self,
        operations: Sequence[PutOperation | DeleteOperation],
        *,
        idempotency_key: str | None = None,
    ) -> BatchWritten:
        """Do all of up to 1,000 operations in order, or none of them.

        :raises BatchRefusedError: a precondition does not hold. Other errors as in :meth:`put`.
        """
        body = _json({"operations": [msgspec.to_builtins(each) for each in operations]})
        return self._write(_Request("POST", "/batch", body, {}), idempotency_key, BatchWritten)

    def watch(self, from_index: int | None = None) -> Generator[Change]:
        """Follow the confirmed changes, in order: nothing is left out, and nothing comes twice.

        When a node fails, or falls silent, it goes on with another one.

        :param from_index: the index behind which to begin; None = now.
        :return: without end; it holds a connection until it is closed, as by `contextlib.closing`.
        :raises EntriesCutError: the log no longer reaches back to where it has to go on.
        :raises NodeUnavailableError: no node has answered for ``timeout_s``.
        """
        return watch(self._router, from_index, self._timeout_s)

    def session(self) -> "Session":
        """A session: its reads show its own writes, and never an older state than before."""
        return Session(self)

    # Nodes

    @property
    def nodes(self) -> Sequence[NodeClient]:
        """The nodes that the client was given."""
        return self._router.nodes

    def node(self, url: str) -> NodeClient:
        """A node at another URL, with the same token."""
        return self._router.node(url)

    def leader(self) -> NodeClient:
        """The node that leads.

        :raises NodeUnavailableError: no node has said which, before the deadline.
        """
        deadline_s = time.monotonic() + self._timeout_s
        for leader in self._router.to_readers(deadline_s, prefer_followers=False):
            return leader
        raise NodeUnavailableError(f"no node has said who leads within {self._timeout_s:g} s")

    def status(self) -> Status:
        """What the leader says about the cluster; raises as :meth:`leader` does."""
        leader = self.leader()
        try:
            return leader.status()
        except NodeUnavailableError:
            self._router.forget(leader)
            raise

    def set_quorum(self, write_quorum: int) -> None:
        """Change W for pending and later writes, at the leader.

        :raises RefusedError: the leader refuses it.
        :raises NodeUnavailableError: the leader does not answer.
        """
        self._operate("set_quorum", Quorum(write_quorum))

    def set_delay(self, min_ms: float, max_ms: float, follower: str | None = None) -> None:
        """Change the simulated delay; raises as :meth:`set_quorum` does.

        :param follower: address of the only one that it is for.
        """
        self._operate("set_delay", Delay(min_ms, max_ms, follower))

    def _operate(self, route: str, body: msgspec.Struct) -> None:
        leader = self.leader()
        try:
            json = msgspec.to_builtins(body)
            answer = leader.request("POST", f"/admin/{route}", json=json)
        except requests.RequestException as error:
            self._router.forget(leader)
            raise NodeUnavailableError(why_unanswered(leader, error)) from error
        if answer.status_code != 200:
            self._router.forget(leader)
            raise _refused(answer)

    def close(self) -> None:
        """Close the connections of the calling thread."""
        self._router.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(
        self, request: "_Request", idempotency_key: str | None, kind: type[Confirmed]
    ) -> Confirmed:
        name = idempotency_key or uuid.uuid4().hex
        headers = {
            **request.conditions,
            "Content-Type": "application/json",
            "Idempotency-Key": name,
        }
        attempts = _Attempts(name, repeats=idempotency_key is not None)
        deadline_s = time.monotonic() + self._timeout_s
        for node in self._router.to_leader(deadline_s):
            try:
                answer = node.request(
                    request.method,
                    request.path,
                    body=request.body,
                    headers=headers,
                    timeout_s=_attempt_s(deadline_s),
                )
            except requests.RequestException as error:
                self._router.forget(node)
                attempts.unanswered(node, error)
                continue
            if answer.status_code == 200 and (written := maybe(answer, kind)) is not None:
                self._router.learn(node.url)
                return written
            self._router.forget(node)
            if (not_leader := _not_leader(answer)) is not None:
                self._router.learn(not_leader.leader)
            attempts.answered(node, answer)
        raise attempts.in_vain(self._timeout_s)


class _Request(NamedTuple):
    """A write, as HTTP has it.

    :param conditions: the headers with its precondition.
    """

    method: str
    path: str
    body: bytes | None
    conditions: Mapping[str, str]


class Session:
    """Reads its own writes, and never goes back, over any mix of nodes.

    Each read asks for a node that has applied all that this session has seen.

    :ivar version: the greatest index seen; it may be passed on to another session.
    """

    def __init__(self, client: Client, version: int = 0) -> None:
        self.version = version
        self._client = client

    def get(self, key: str) -> Item | None:
        """See :meth:`Client.get`."""
        item, index = self._client.read(key, self.version)
        self.version = max(self.version, index)
        return item

    def put(self, key: str, value: Any, **options: Any) -> Written:
        """See :meth:`Client.put`."""
        return self._seen(self._client.put(key, value, **options))

    def delete(self, key: str, **options: Any) -> Written:
        """See :meth:`Client.delete`."""
        return self._seen(self._client.delete(key, **options))

    def compare_and_set(self, key: str, value: Any, version: int | None) -> Written:
        """See :meth:`Client.compare_and_set`."""
        return self._seen(self._client.compare_and_set(key, value, version))

    def batch(
        self, operations: Sequence[PutOperation | DeleteOperation], **options: Any
    ) -> BatchWritten:
        """See :meth:`Client.batch`."""
        written = self._client.batch(operations, **options)
        self.version = max(self.version, *(each.version for each in written.results))
        return written

    def _seen(self, written: Written) -> Written:
        self.version = max(self.version, written.version)
        return written


class _Attempts:
    """What the attempts at one write have shown so far.

    :param repeats: whether an earlier call has left the outcome open.
    """

    def __init__(self, idempotency_key: str, *, repeats: bool) -> None:
        self._idempotency_key = idempotency_key
        self._is_open = repeats
        self._version: int | None = None
        self._refusal: RefusedError | None = None
        self._reason = "no node could be asked"

    def unanswered(self, node: NodeClient, error: requests.RequestException) -> None:
        self._reason = why_unanswered(node, error)
        self._is_open = self._is_open or not is_never_sent(error)

    def answered(self, node: NodeClient, answer: requests.Response) -> None:
        """Take an answer that is not a confirmation.

        :raises RefusedError: it is final.
        :raises IndefiniteError: it refuses, but an earlier attempt may still be made.
        """
        status, text = answer.status_code, explain(answer)
        self._reason = f"{node.url}: {text}"
        is_nodes = complaint(answer) is not None
        if status in _OPEN or (status == 503 and not is_nodes):
            self._is_open = True
            if (found := maybe(answer, OutcomeOpen)) is not None and found.version is not None:
                self._version = found.version
        elif status == 503:
            self._refusal = RefusedError(text, status)
        elif is_nodes and _not_leader(answer) is None:
            # An earlier attempt may be on its way still, or in the log of another node, where the
            # precondition holds, or the limits are other ones. A name of another write is final.
            if self._is_open and status != 422:
                raise self._open(f"an earlier attempt was not answered; then {text}")
            raise _refused(answer)

    def in_vain(self, timeout_s: float) -> ClientError:
        """What is known when time is up."""
        reason = f"not confirmed within {timeout_s:g} s ({self._reason})"
        if self._is_open:
            return self._open(reason)
        return self._refusal or NodeUnavailableError(f"{reason}: nothing was written")

    def _open(self, reason: str) -> IndefiniteError:
        return IndefiniteError(reason, self._idempotency_key, self._version)


def _refused(answer: requests.Response) -> RefusedError:
    text = explain(answer)
    if answer.status_code == 412:
        if (batch := maybe(answer, BatchRefused)) is not None:
            return BatchRefusedError(text, batch.results)
        if (one := maybe(answer, PreconditionFailed)) is not None:
            return PreconditionFailedError(text, one.version)
    return RefusedError(text, answer.status_code)


def _not_leader(answer: requests.Response) -> NotLeader | None:
    return maybe(answer, NotLeader) if answer.status_code == 403 else None


def _applied_index(answer: requests.Response) -> int | None:
    """What the node had applied that answered a read; None when it was not a node."""
    index = answer.headers.get(APPLIED_INDEX, "")
    return int(index) if index.isdecimal() else None


def _attempt_s(deadline_s: float) -> float:
    return max(min(ATTEMPT_TIMEOUT_S, deadline_s - time.monotonic()), 0.001)


def _conditions(if_match: Condition | None, if_none_match: Condition | None) -> dict[str, str]:
    given = {"If-Match": if_match, "If-None-Match": if_none_match}
    return {
        name: "*" if condition == "*" else f'"{condition}"'
        for name, condition in given.items()
        if condition is not None
    }


def _json(body: Any) -> bytes:
    """:raises ValueError: it holds NaN or an infinity, which JSON has not; TypeError: no JSON."""
    return dumps(body, allow_nan=False).encode()


def _checked_key(key: str) -> str:
    if not key:
        raise ValueError("a key is not empty")
    return key


def _has_port(parts: SplitResult) -> bool:
    """Whether the port is one, or the scheme's."""
    try:
        return parts.port != 0
    except ValueError:
        return False


def _checked_urls(urls: str | Iterable[str]) -> list[str]:
    given = urls.split(",") if isinstance(urls, str) else urls
    found = [url.strip().rstrip("/") for url in given if url.strip()]
    for url in found:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or not _has_port(parts):
            raise ValueError(f"{url!r} is not the URL of a node, such as http://127.0.0.1:5000")
    if not found:
        raise ValueError("at least one URL of a node is needed")
    return list(dict.fromkeys(found))
