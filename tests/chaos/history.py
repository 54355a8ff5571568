"""What happened in a campaign: every operation, every fault, and what the nodes held at the end.

All times are nanoseconds of one monotonic clock, from the start of the campaign.

An operation is what Jepsen calls so: something that one client asks of one node, from its
invocation to its completion. Jepsen's *ok* is here ``confirmed``, ``found`` or ``absent``, *fail*
is ``refused`` and ``unavailable``, *info* is ``open``.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from kvstore.api_types import Store
from tests.chaos.fault import Fault

Kind = Literal["put", "delete", "read"]
Outcome = Literal["confirmed", "refused", "open", "found", "absent", "unavailable"]
Value = str | None
"""What a key holds; ``None`` = it does not exist, as at the beginning."""

_LONGEST_VALUE = 100


class Campaign(Struct, frozen=True, kw_only=True):
    """What a campaign is to do.

    :param command: repeats it.
    :param node_settings: of every node, as in the environment.
    """

    command: str
    seed: int
    seconds: float
    followers: int
    write_quorum: int
    node_settings: dict[str, str]
    schedule: list[Fault]


class Precondition(Struct, frozen=True):
    """What a conditional write asks for.

    :param version: the key's version; ``None`` = the key must not exist.
    :param value: what the client knows the key to hold in that version.
    """

    version: int | None
    value: Value


class Operation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a client asked of a node, and what came of it.

    :param client: who asked; one operation at a time.
    :param node: name of the node that was asked.
    :param value: what a put wrote, or what a read returned.
    :param start_ns: when the first request was sent.
    :param end_ns: when the last request was answered, or given up.
    :param outcome: of a write ``confirmed``, ``refused`` (nothing happened) or ``open`` (it takes
        effect at any time from its start on, or never); of a read ``found``, ``absent`` or
        ``unavailable`` (it says nothing).
    :param answers: to each of its requests the status, or why there is none. A write is repeated
        under an idempotency key while it is open.
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
    answers: list[int | str]
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
        answers = " then ".join(map(str, self.answers))
        times = f"{self.start_ns / 1e9:.4f} to {self.end_ns / 1e9:.4f} s"
        return f"#{self.id} {self.client} {what} on {self.node}, {times}: {outcome} ({answers})"


class Event(Struct, frozen=True):
    """Something was done to the nodes, or came of it; for people who read the file."""

    at_ns: int
    text: str


class Loss(Struct, frozen=True):
    """A node lost something."""

    at_ns: int
    node: str


class History(Struct, kw_only=True):
    """A whole history.

    :param operations: in the order of their starts.
    :param killed: the nodes lost what was not durable.
    :param emptied: the data directory of a dead node was deleted, or put back to an older copy.
    :param copies: what each node held at the end, by its name.
    :param problems: what went wrong with the nodes and no fault explains.
    """

    campaign: Campaign
    problems: list[str] = []
    killed: list[Loss] = []
    emptied: list[Loss] = []
    copies: dict[str, Store] = {}
    events: list[Event] = []
    operations: list[Operation] = []

    def writes(self) -> dict[str, list[Operation]]:
        """The puts and deletes of each key that may have taken effect."""
        writes = defaultdict(list)
        for op in self.operations:
            if op.is_write and op.outcome != "refused":
                writes[op.key].append(op)
        return writes


def describe_outcomes(operations: Iterable[Operation]) -> str:
    """How many operations ended in which outcome, for people."""
    outcomes = Counter(op.outcome for op in operations)
    return ", ".join(f"{count:,} {name}" for name, count in sorted(outcomes.items()))


def brief(value: str) -> str:
    """A value as it is written down: of a long one the beginning, and a digest of all of it."""
    if len(value) <= _LONGEST_VALUE:
        return value
    return f"{value[:20]}... {sha256(value.encode()).hexdigest()}"


def save_history(history: History, path: Path) -> None:
    """Write a history to a file of JSON."""
    path.write_bytes(msgspec.json.format(msgspec.json.encode(history), indent=1))


def read_history(path: Path) -> History:
    """Read a history back; raises :class:`OSError` or :class:`ValueError` if the file is none."""
    return msgspec.json.decode(path.read_bytes(), type=History)
