"""What happened in a campaign: every call, every fault, and what the nodes held at the end.

A history is a file of JSON lines, written while the campaign runs: first the campaign's settings
and schedule, then calls and events as they ended, last the copies and the end. All times are
nanoseconds of one monotonic clock, from the start of the campaign.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from tests.chaos.fault import Fault
from tests.chaos.operations import Kind, Value

Outcome = Literal["confirmed", "refused", "open", "found", "absent", "unavailable"]


class Campaign(Struct, frozen=True, kw_only=True, tag="campaign", tag_field="record"):
    """The first record: what the campaign was to do.

    :param command: repeats it.
    :param node_settings: of every node, as in the environment.
    :param keys: those that clients use.
    :param ballast: keys that are written once, with long values, before the first fault.
    """

    command: str
    seed: int
    seconds: float
    followers: int
    clients: int
    write_quorum: int
    keys: list[str]
    ballast: list[str]
    node_settings: dict[str, str]
    schedule: list[Fault]


class Precondition(Struct, frozen=True):
    """What a conditional write asks for.

    :param version: the key's version; ``None`` = the key must not exist.
    :param value: what the client knows the key to hold in that version.
    """

    version: int | None
    value: Value


class Attempt(Struct, frozen=True, array_like=True):
    """One request of a call, which is repeated under an idempotency key while its outcome is open.

    :param answer: the status, or why there is none.
    """

    start_ns: int
    end_ns: int
    answer: int | str


class Call(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="call", tag_field="record"):
    """One call of a client, with all its requests.

    :param client: who called; one call at a time.
    :param node: name of the node that was called.
    :param value: what a put wrote, or what a read returned.
    :param start_ns: when the first request was sent.
    :param end_ns: when the last request was answered, or given up.
    :param outcome: of a write ``confirmed``, ``refused`` (nothing happened) or ``open``; of a read
        ``found``, ``absent`` or ``unavailable`` (it says nothing).
    :param version: in the answer; of an open write, where it is known.
    :param replicas: followers that held a confirmed write, as answered.
    :param min_version: that a read asked for.
    """

    id: int
    client: str
    node: str
    kind: Kind
    key: str
    start_ns: int
    end_ns: int
    outcome: Outcome
    attempts: list[Attempt]
    value: Value = None
    version: int | None = None
    replicas: int | None = None
    precondition: Precondition | None = None
    min_version: int | None = None

    @property
    def is_write(self) -> bool:
        """Whether it is a put or a delete."""
        return self.kind != "read"


class Event(Struct, frozen=True, kw_only=True, tag="event", tag_field="record"):
    """Something was done to the nodes, or came of it.

    :param fault: number of the fault in the schedule; ``None`` for none.
    """

    at_ns: int
    fault: int | None
    text: str


class Killed(Struct, frozen=True, kw_only=True, tag="killed", tag_field="record"):
    """A node was killed: it lost what was not durable."""

    at_ns: int
    node: str


class Emptied(Struct, frozen=True, kw_only=True, tag="emptied", tag_field="record"):
    """The data directory of a dead node was deleted, or put back to an older copy."""

    at_ns: int
    node: str


class NodeCopy(Struct, frozen=True, kw_only=True, tag="copy", tag_field="record"):
    """What a node held at the end, as in ``GET /admin/store``."""

    node: str
    index: int
    epoch: int
    store: dict[str, str]
    versions: dict[str, int]
    digest: str


class End(Struct, frozen=True, kw_only=True, tag="end", tag_field="record"):
    """The last record.

    :param problems: what went wrong with the nodes; empty when they all became equal and ready.
    """

    at_ns: int
    problems: list[str]


Record = Campaign | Call | Event | Killed | Emptied | NodeCopy | End

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class HistoryError(Exception):
    """A file is not a history."""


@dataclass
class History:
    """A whole history, read back.

    :param calls: in the order of their starts.
    :param end: ``None`` when the campaign was interrupted; there may be no copies then.
    """

    campaign: Campaign
    calls: list[Call] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    copies: list[NodeCopy] = field(default_factory=list)
    end: End | None = None

    @property
    def last_ns(self) -> int:
        """When the last call ended."""
        return max((call.end_ns for call in self.calls), default=0)


def read_history(path: Path) -> History:
    """Read a history file.

    :raises HistoryError: it is none.
    """
    try:
        first, *records = [_decode(line) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError) as error:
        raise HistoryError(f"{path} is not a history: {error}") from error
    if not isinstance(first, Campaign):
        raise HistoryError(f"{path} does not begin with the campaign")
    history = History(first)
    for record in records:
        match record:
            case Call():
                history.calls.append(record)
            case Event():
                history.events.append(record)
            case Killed():
                history.killed.append(record)
            case Emptied():
                history.emptied.append(record)
            case NodeCopy():
                history.copies.append(record)
            case End():
                history.end = record
    history.calls.sort(key=lambda call: call.start_ns)
    return history
