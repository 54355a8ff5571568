"""What happened in a campaign: every operation, every fault, and what the nodes held at the end.

A history is a file of JSON lines, written while the campaign runs: first the campaign's settings
and schedule, then operations and events as they ended, last the copies and the end. All times are
nanoseconds of one monotonic clock, from the start of the campaign.

An operation is what Jepsen calls so: something that one client asks of one node, from its
invocation to its completion. Jepsen's *ok* is here ``confirmed``, ``found`` or ``absent``, *fail*
is ``refused`` and ``unavailable``, *info* is ``open``.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import msgspec
from msgspec import Struct

from tests.chaos.fault import Fault

Kind = Literal["put", "delete", "read"]
Outcome = Literal["confirmed", "refused", "open", "found", "absent", "unavailable"]
Value = str | None
"""What a key holds; ``None`` = it does not exist, as at the beginning."""


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
    """One request of an operation, which is repeated under an idempotency key while it is open.

    :param answer: the status, or why there is none.
    """

    start_ns: int
    end_ns: int
    answer: int | str


class Operation(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag="operation", tag_field="record"
):
    """What a client asked of a node, with all its requests, and what came of it.

    :param client: who asked; one operation at a time.
    :param node: name of the node that was asked.
    :param value: what a put wrote, or what a read returned.
    :param start_ns: when the first request was sent.
    :param end_ns: when the last request was answered, or given up.
    :param outcome: of a write ``confirmed``, ``refused`` (nothing happened) or ``open`` (it takes
        effect at any time from its start on, or never); of a read ``found``, ``absent`` or
        ``unavailable`` (it says nothing).
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

    @property
    def is_open(self) -> bool:
        """Whether it need not take effect, and may do so after its end."""
        return self.outcome == "open"

    @property
    def observes(self) -> Precondition | None:
        """What the key must hold for this operation; ``None`` when it may hold anything."""
        if self.kind == "read":
            return Precondition(self.version, self.value)
        return self.precondition

    def describe(self) -> str:
        """For people, on one line."""
        what = f"{self.kind} {self.key}" + (f"={self.value}" if self.kind == "put" else "")
        if self.precondition is not None:
            wanted = self.precondition.version
            what += " if absent" if wanted is None else f" if version {wanted}"
        if self.min_version is not None:
            what += f" from version {self.min_version}"
        outcome = f"found {self.value}" if self.outcome == "found" else self.outcome
        if self.version is not None:
            outcome += f", version {self.version}"
        answers = " then ".join(str(attempt.answer) for attempt in self.attempts)
        times = f"{self.start_ns / 1e9:.4f} to {self.end_ns / 1e9:.4f} s"
        return f"#{self.id} {self.client} {what} on {self.node}, {times}: {outcome} ({answers})"


class Event(Struct, frozen=True, kw_only=True, tag="event", tag_field="record"):
    """Something was done to the nodes, or came of it; for people who read the file.

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


Record = Campaign | Operation | Event | Killed | Emptied | NodeCopy | End

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Record).decode


class HistoryError(Exception):
    """A file is not a history."""


@dataclass
class History:
    """A whole history, read back.

    :param operations: in the order of their starts.
    :param end: ``None`` when the campaign was interrupted; there may be no copies then.
    """

    campaign: Campaign
    operations: list[Operation]
    killed: list[Killed] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    copies: list[NodeCopy] = field(default_factory=list)
    end: End | None = None

    def writes(self) -> dict[str, list[Operation]]:
        """The puts and deletes of each key that may have taken effect."""
        writes = defaultdict(list)
        for op in self.operations:
            if op.is_write and op.outcome != "refused":
                writes[op.key].append(op)
        return writes


def read_history(path: Path) -> History:
    """Read a history file.

    :raises HistoryError: it is none.
    """
    records: dict[type[Record], list[Any]] = defaultdict(list)
    try:
        for line in path.read_bytes().splitlines():
            record = _decode(line)
            records[type(record)].append(record)
        (campaign,) = records[Campaign]
    except (OSError, ValueError) as error:
        raise HistoryError(f"{path} is not a history: {error}") from error
    return History(
        campaign,
        sorted(records[Operation], key=lambda op: op.start_ns),
        records[Killed],
        records[Emptied],
        records[NodeCopy],
        next(iter(records[End]), None),
    )


def describe_outcomes(outcomes: Counter[str]) -> str:
    """How many operations ended in which outcome, for people."""
    return ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))


# Long values are written down briefly: ``name+1000`` stands for itself and 1,000 dots behind it.


def expand(value: str) -> str:
    """The value as it is sent."""
    _, plus, count = value.rpartition("+")
    return value + "." * int(count) if plus and count.isdigit() else value


def shorten(value: str) -> str:
    """The value as it is written down; one that is not what it says is told apart."""
    short = value.rstrip(".")
    return short if expand(short) == value else f"{short} and {len(value) - len(short)} dots"
