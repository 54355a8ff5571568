"""Hand-made pieces of a history."""

import itertools
from dataclasses import dataclass, field

from tests.chaos.history import (
    Attempt,
    Call,
    Campaign,
    Emptied,
    End,
    History,
    Killed,
    NodeCopy,
    Outcome,
    Precondition,
)
from tests.chaos.operations import Kind, Value


def campaign() -> Campaign:
    """A campaign of one follower, W=1."""
    return Campaign(
        command="repeat",
        seed=1,
        seconds=1.0,
        followers=1,
        clients=2,
        write_quorum=1,
        keys=["k"],
        ballast=[],
        node_settings={},
        schedule=[],
    )


def copies(
    store: dict[str, str], versions: dict[str, int], index: int, digest: str = "d"
) -> list[NodeCopy]:
    """Equal copies of the leader and the follower."""
    return [
        NodeCopy(node=node, index=index, epoch=1, store=store, versions=versions, digest=digest)
        for node in ("leader", "follower1")
    ]


@dataclass
class HistoryBuilder:
    """Calls on the key ``k``, one after the other unless their times are given."""

    calls: list[Call] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)
    _ids: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def put(self, value: str, outcome: Outcome = "confirmed", **other: object) -> "HistoryBuilder":
        return self._add("put", value, outcome, other)

    def delete(self, outcome: Outcome = "confirmed", **other: object) -> "HistoryBuilder":
        return self._add("delete", None, outcome, other)

    def read(self, value: Value, **other: object) -> "HistoryBuilder":
        return self._add("read", value, "absent" if value is None else "found", other)

    def empty(self, node: str) -> "HistoryBuilder":
        """The node loses its directory now."""
        self.kill(node)
        self.emptied.append(Emptied(at_ns=self.killed[-1].at_ns + 1, node=node))
        return self

    def kill(self, node: str) -> "HistoryBuilder":
        """The node is killed now."""
        at_ns = max((call.end_ns for call in self.calls), default=0) + 1
        self.killed.append(Killed(at_ns=at_ns, node=node))
        return self

    def history(self, held: list[NodeCopy] | None = None) -> History:
        """All of it, with an end without problems."""
        end = End(at_ns=10**9, problems=[])
        calls = sorted(self.calls, key=lambda call: call.start_ns)
        return History(campaign(), calls, [], self.killed, self.emptied, held or [], end)

    def _add(
        self, kind: Kind, value: Value, outcome: Outcome, other: dict[str, object]
    ) -> "HistoryBuilder":
        previous_ns = max((call.end_ns for call in self.calls), default=0)
        start_ns, end_ns = previous_ns + 10, previous_ns + 20
        at = other.pop("at", None)
        if isinstance(at, tuple):
            start_ns, end_ns = at
        status = {
            "confirmed": 200,
            "refused": 503,
            "open": 504,
            "found": 200,
            "absent": 404,
            "unavailable": 503,
        }[outcome]
        fields: dict[str, object] = {
            "id": next(self._ids),
            "client": "c",
            "node": "leader",
            "kind": kind,
            "key": "k",
            "value": value,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "outcome": outcome,
            "attempts": [Attempt(start_ns, end_ns, status)],
            "replicas": 1 if outcome == "confirmed" else None,
        }
        self.calls.append(Call(**{**fields, **other}))  # type: ignore[arg-type]
        return self


def if_version(version: int | None, value: Value) -> Precondition:
    """What a conditional write asks for."""
    return Precondition(version, value)
