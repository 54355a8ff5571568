"""The bodies of the HTTP API, as types: what a node answers, and what a request may hold.

The routes return them, ``/openapi.json`` is generated from them and from these docstrings, and
clients (the study, the tests) decode with them. This module imports nothing of the package, so that
a client needs no other. The messages between nodes are in ``core/messages.py``.
"""

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

Index = Annotated[int, Meta(ge=0)]
"""A position in the log, and so the version of a key; 0 = nothing yet."""
Count = Annotated[int, Meta(ge=0)]
Milliseconds = Annotated[float, Meta(ge=0)]
Yes = Annotated[bool, Meta(extra_json_schema={"const": True})]
No = Annotated[bool, Meta(extra_json_schema={"const": False})]

APPLIED_INDEX = "Applied-Index"
"""The header in which the answer to a read says what index the node had applied."""


# Errors


class Error(Struct, frozen=True):
    """Why the request was refused or failed.

    :param error: for people.
    """

    error: str


class NotLeader(Error, frozen=True):
    """Only the leader does this.

    :param leader: the leader's URL, if this node has met one.
    """

    leader: str | None


class PreconditionFailed(Error, frozen=True):
    """The key has another version.

    :param version: the key's newest version, if it exists.
    """

    version: Index | None


class NotApplied(Error, frozen=True):
    """min_version was not reached within REPL_TIMEOUT.

    :param applied_index: what this node has applied.
    """

    applied_index: Index


# Writes


class PutBody(Struct, frozen=True):
    """What to write.

    :param value: any JSON value, also null.
    """

    value: Any


class Written(Struct, frozen=True, kw_only=True, tag_field="status", tag="ok"):
    """Confirmed: the leader and W followers hold it.

    :param version: index of the write's entry.
    :param replicas_confirmed: followers that are known to hold it.
    """

    key: str
    version: Index
    replicas_confirmed: Count


class Refused(Struct, frozen=True, kw_only=True, tag_field="status", tag="error"):
    """Refused: nothing happened, and nothing will.

    :param reason: for people.
    """

    reason: str
    replicas_confirmed: Literal[0]


class OutcomeOpen(Struct, frozen=True, kw_only=True, tag_field="status", tag="error"):
    """Open: it is in the log, and may still be confirmed.

    :param reason: for people.
    :param replicas_confirmed: followers that are known to hold it so far.
    :param version: index of the write's entry. Of a batch, that of its last operation's; those of
        the others are just before it, in order. None where this leader cannot tell now whether an
        earlier attempt under the same idempotency key is in a log.
    """

    reason: str
    replicas_confirmed: Count
    version: Index | None


# Batches

Condition = Annotated[int, Meta(ge=0, le=2**63 - 1)] | Literal["*"]
"""A version, or * for any."""


class PutOperation(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="operation", tag="put"
):
    """Write a value.

    :param value: any JSON value, also null.
    :param if_match: the version that the key must have; * = any.
    :param if_none_match: the version that the key must not have; * = any.
    """

    key: Annotated[str, Meta(min_length=1)]
    value: Any
    if_match: Condition | UnsetType = UNSET
    if_none_match: Condition | UnsetType = UNSET


class DeleteOperation(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    tag_field="operation",
    tag="delete",
):
    """Delete a key, whether or not it exists.

    :param if_match: the version that the key must have; * = any.
    :param if_none_match: the version that the key must not have; * = any.
    """

    key: Annotated[str, Meta(min_length=1)]
    if_match: Condition | UnsetType = UNSET
    if_none_match: Condition | UnsetType = UNSET


class BatchBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Operations that enter the log together, or not at all.

    :param operations: each sees what those before it did.
    """

    operations: Annotated[list[PutOperation | DeleteOperation], Meta(min_length=1, max_length=1000)]


class Judged(Struct, frozen=True):
    """What became of an operation of a batch that was refused.

    :param holds: whether its precondition holds after the operations before it; it does where there
        is none.
    :param version: the key's newest version before the batch, if it exists.
    """

    key: str
    holds: bool
    version: Index | None


class BatchRefused(Error, frozen=True):
    """A key has another version than an operation of the batch asks for; nothing happened.

    :param results: one for each operation, in order.
    """

    results: list[Judged]


class Result(Struct, frozen=True):
    """What an operation of a batch made.

    :param version: index of its entry.
    """

    key: str
    version: Index


class BatchWritten(Struct, frozen=True, kw_only=True, tag_field="status", tag="ok"):
    """Confirmed: the leader and W followers hold all of it.

    :param results: one for each operation, in order.
    :param replicas_confirmed: followers that are known to hold all of it.
    """

    results: list[Result]
    replicas_confirmed: Count


# Reads


class Found(Struct, frozen=True):
    """The value.

    :param version: index of the entry that wrote it.
    """

    found: Yes
    value: Any
    version: Index


class NotFound(Struct, frozen=True):
    """There is no such key."""

    found: No


class Change(Struct, frozen=True, kw_only=True):
    """A confirmed entry, as ``/watch`` sends it: the data of an event whose id is the index.

    :param index: of the entry, and so the version that it gave the key.
    :param value: what was put; null for a delete.
    """

    index: Index
    operation: Literal["put", "delete"]
    key: str
    value: Any


class EntriesCut(Error, frozen=True):
    """The log no longer reaches back to the entry asked for.

    :param index: of a copy of the store that holds what is missing: read one, and watch from its
        index on.
    """

    index: Index


class Store(Struct, frozen=True, kw_only=True):
    """Everything a node serves, at one index. It is sent in parts while it is made.

    :param store: values by their keys.
    :param versions: versions by the same keys.
    :param index: the index; the leader's is its commit index.
    :param epoch: of the entry at the index.
    :param digest: SHA-256 over the index and the sorted keys, versions and values.
    """

    store: dict[str, Any]
    versions: dict[str, Index]
    index: Index
    epoch: Count
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


# Operation


class Document(Struct, frozen=True, kw_only=True):
    """The HTTP API, described as an OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    paths: dict[str, Any]
    components: dict[str, Any]


class Quorum(Struct, frozen=True):
    """The write quorum W: how many followers must hold a write before it is confirmed.

    :param quorum: from 0 to the number of followers.
    """

    quorum: Count


class Delay(Struct, frozen=True, omit_defaults=True):
    """The range that the simulated delays are drawn from, in milliseconds.

    :param max_ms: from min_ms; below REPL_TIMEOUT.
    :param follower: address of the only follower that it is for; None = all of them.
    """

    min_ms: Milliseconds
    max_ms: Milliseconds
    follower: str | None = None


class Exchange(Struct, frozen=True, kw_only=True):
    """A replication request with entries, and its acknowledgement.

    Times are seconds of the leader's monotonic clock; only their differences mean anything.

    :param number: counts the exchanges of this leader with all its followers, from 1.
    :param follower: its address.
    :param first_index: of the request's first entry.
    :param last_index: of its last entry.
    :param formed_s: when it was formed; its delay began then.
    :param drawn_ms: the delay that was drawn.
    :param sent_s: when it was sent.
    :param acknowledged_s: when the acknowledgement had been read.
    """

    number: Count
    follower: str
    first_index: Index
    last_index: Index
    formed_s: float
    drawn_ms: Milliseconds
    sent_s: float
    acknowledged_s: float


class Exchanges(Struct, frozen=True):
    """The newest exchanges of a leader with its followers, oldest first.

    The leader keeps a limited number: a gap in the numbers shows what was dropped.
    """

    exchanges: list[Exchange]


class ForceStart(Struct, frozen=True):
    """What to decide.

    :param keep: whose history to keep where two diverge: host:port, or self for the leader's own.
    """

    keep: str | None = None


class Forced(Struct, frozen=True, kw_only=True, tag_field="status", tag="ok"):
    """The takeover continues.

    :param without: addresses of the nodes that are given up.
    :param risk: what may be lost, for people.
    """

    without: list[str]
    risk: str


class Live(Struct, frozen=True):
    """The node runs."""

    live: Yes


class Readiness(Struct, frozen=True, kw_only=True):
    """Whether the node may serve its role; further fields as in Status."""

    ready: bool
    state: str
    waiting_for: list[str]
    problem: str | None


class DelayFigures(Struct, frozen=True, kw_only=True):
    """The simulated delay before the replication requests to one follower.

    :param min_ms: from where it is drawn now, in milliseconds; ``max_ms``: to where.
    :param count: requests that were delayed.
    :param mean_drawn_ms: mean of what was drawn, in milliseconds.
    :param mean_happened_ms: mean of what really happened, in milliseconds.
    :param correlation: Pearson's, of the two; None while either has not varied.
    """

    min_ms: Milliseconds
    max_ms: Milliseconds
    count: Count
    mean_drawn_ms: Milliseconds
    mean_happened_ms: Milliseconds
    correlation: float | None


class FollowerStatus(Struct, frozen=True, kw_only=True):
    """One follower, as the leader sees it.

    :param address: as it stands in FOLLOWERS.
    :param node: id of the node that answers there; None while none has.
    :param state: what the leader has to send to it next, or unreachable; for people.
    :param problem: why it does not answer, or must not be replicated to; None while all is well.
    :param match_index: up to where it has acknowledged the log in this reign.
    :param lag_entries: the leader's last index less the match index.
    :param lag_s: age of the oldest entry that it lacks, in seconds.
    :param last_contact_s: seconds since its last answer; None while there was none.
    :param entries_sent: since this leader was started.
    :param snapshots_sent: since this leader was started.
    """

    address: str
    node: str | None
    state: str
    problem: str | None
    match_index: Index
    lag_entries: int
    lag_s: float
    last_contact_s: float | None
    entries_sent: Count
    snapshots_sent: Count
    delay: DelayFigures


class Status(Struct, frozen=True, kw_only=True):
    """What a node is and does.

    :param state: for people.
    :param epoch: of the last reign that it knows of; 0 for none.
    :param reign: id of the reign that it leads in or follows; None for none.
    :param node: id of the node, kept with DATA_DIR.
    :param cluster: id of the cluster it belongs to; None for none.
    :param leader: URL of the leader of that reign; None while it knows none.
    :param last_index: index of its last entry.
    :param commit_index: up to where it knows the log to be confirmed.
    :param applied_index: index of the map that it serves.
    :param write_quorum: W in force; None on a follower.
    :param waiting_for: addresses of the nodes without which it cannot continue.
    :param problem: what an operator has to fix; None if nothing.
    :param discarded: entries that were set aside because another history took their place.
    :param followers: empty on a follower.
    """

    role: Literal["leader", "follower"]
    state: str
    epoch: Count
    reign: str | None
    node: str
    cluster: str | None
    leader: str | None
    last_index: Index
    commit_index: Index
    applied_index: Index
    write_quorum: Count | None
    waiting_for: list[str]
    problem: str | None
    discarded: Count
    followers: list[FollowerStatus]
