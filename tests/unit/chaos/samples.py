"""Hand-made pieces of a history."""

from dataclasses import dataclass, field
from typing import Any, Self

from tests.chaos.history import (
    Attempt,
    Campaign,
    Emptied,
    End,
    History,
    Killed,
    Kind,
    NodeCopy,
    Operation,
    Outcome,
    Precondition,
    Value,
)

CAMPAIGN = Campaign(
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
IF_ABSENT = Precondition(None, None)

_STATUS: dict[Outcome, int] = {
    "confirmed": 200,
    "refused": 503,
    "open": 504,
    "found": 200,
    "absent": 404,
    "unavailable": 503,
}


def copies(
    store: dict[str, str], versions: dict[str, int], index: int, digest: str = "d"
) -> list[NodeCopy]:
    """Equal copies of the leader and the follower."""
    return [
        NodeCopy(node=node, index=index, epoch=1, store=store, versions=versions, digest=digest)
        for node in ("leader", "follower1")
    ]


def if_value(value: Value) -> Precondition:
    """The condition of a write, for the checker, to which versions mean nothing."""
    return Precondition(None, value)


@dataclass
class HistoryBuilder:
    """Operations on the key ``k``, one after the other unless their times are given."""

    operations: list[Operation] = field(default_factory=list)
    killed: list[Killed] = field(default_factory=list)
    emptied: list[Emptied] = field(default_factory=list)

    def put(self, value: str, version: int | None = None, **other: Any) -> Self:
        return self._add("put", value, version, "confirmed", other)

    def open_put(self, value: str, version: int | None = None, **other: Any) -> Self:
        return self._add("put", value, version, "open", other)

    def refused_put(self, value: str, **other: Any) -> Self:
        return self._add("put", value, None, "refused", other)

    def delete(self, version: int | None = None, **other: Any) -> Self:
        return self._add("delete", None, version, "confirmed", other)

    def open_delete(self, version: int | None = None, **other: Any) -> Self:
        return self._add("delete", None, version, "open", other)

    def read(self, value: Value, version: int | None = None, **other: Any) -> Self:
        return self._add("read", value, version, "absent" if value is None else "found", other)

    def kill(self, node: str) -> Self:
        """The node is killed now."""
        self.killed.append(Killed(at_ns=self._last_ns + 1, node=node))
        return self

    def empty(self, node: str) -> Self:
        """The node is killed and loses its directory now."""
        self.emptied.append(Emptied(at_ns=self._last_ns + 2, node=node))
        return self.kill(node)

    def history(self, held: list[NodeCopy] | None = None) -> History:
        """All of it, with an end without problems."""
        end = End(at_ns=10**9, problems=[])
        operations = sorted(self.operations, key=lambda op: op.start_ns)
        return History(CAMPAIGN, operations, self.killed, self.emptied, held or [], end)

    @property
    def _last_ns(self) -> int:
        return max((op.end_ns for op in self.operations), default=0)

    def _add(
        self,
        kind: Kind,
        value: Value,
        version: int | None,
        outcome: Outcome,
        other: dict[str, Any],
    ) -> Self:
        start_ns, end_ns = other.pop("at", None) or (self._last_ns + 10, self._last_ns + 20)
        fields: dict[str, Any] = {
            "id": len(self.operations) + 1,
            "client": "c",
            "node": "leader",
            "kind": kind,
            "key": "k",
            "value": value,
            "version": version,
            "start_ns": start_ns,
            "end_ns": end_ns,
            "outcome": outcome,
            "attempts": [Attempt(start_ns, end_ns, _STATUS[outcome])],
            "replicas": 1 if outcome == "confirmed" else None,
        }
        self.operations.append(Operation(**{**fields, **other}))
        return self
