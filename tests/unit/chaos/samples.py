"""Hand-made pieces of a history."""

from typing import Any, Self

from msgspec.structs import replace

from kvstore.api_types import Store
from tests.chaos.campaign import plan
from tests.chaos.history import History, Kind, Loss, Operation, Outcome, Precondition, Value

CAMPAIGN = plan(seed=1, seconds=1.0, followers=1, write_quorum=1)
IF_ABSENT = Precondition(None, None)
FOLLOWER: dict[str, Any] = {"node": "follower1"}

_STATUS: dict[Outcome, int] = {
    "confirmed": 200,
    "refused": 503,
    "open": 504,
    "found": 200,
    "absent": 404,
}


def held(store: dict[str, str], version: int = 1, **changes: Any) -> Store:
    """What a node holds, with one version for all keys."""
    copy = Store(
        store=store,
        versions=dict.fromkeys(store, version),
        index=version,
        epoch=1,
        digest="d" * 64,
    )
    return replace(copy, **changes)


def if_value(value: Value) -> Precondition:
    """The condition of a write, for the checker, to which versions mean nothing."""
    return Precondition(None, value)


class HistoryBuilder:
    """Operations on the key ``k``, one after the other unless their times are given."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.killed: list[Loss] = []
        self.emptied: list[Loss] = []

    def put(self, value: str, version: int | None = None, **other: Any) -> Self:
        return self.write(value, "confirmed", version, **other)

    def open_put(self, value: str, version: int | None = None, **other: Any) -> Self:
        return self.write(value, "open", version, **other)

    def refused_put(self, value: str, **other: Any) -> Self:
        return self.write(value, "refused", **other)

    def delete(self, version: int | None = None, **other: Any) -> Self:
        return self.write(None, "confirmed", version, **other)

    def open_delete(self, version: int | None = None, **other: Any) -> Self:
        return self.write(None, "open", version, **other)

    def write(
        self, value: Value, outcome: Outcome, version: int | None = None, **other: Any
    ) -> Self:
        return self._add("delete" if value is None else "put", value, version, outcome, other)

    def read(self, value: Value, version: int | None = None, **other: Any) -> Self:
        return self._add("read", value, version, "absent" if value is None else "found", other)

    def kill(self, node: str) -> Self:
        """The node is killed now."""
        self.killed.append(Loss(self._last_ns + 1, node))
        return self

    def empty(self, node: str) -> Self:
        """The node is killed and loses its directory now."""
        self.emptied.append(Loss(self._last_ns + 2, node))
        return self.kill(node)

    def history(self, leader: Store, follower: Store | None = None) -> History:
        """All of it, with what the nodes hold; they hold the same if not given."""
        return History(
            campaign=CAMPAIGN,
            operations=sorted(self.operations, key=lambda op: op.start_ns),
            killed=self.killed,
            emptied=self.emptied,
            copies={"leader": leader, "follower1": follower or leader},
        )

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
        plain: dict[str, Any] = {
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
            "answers": [_STATUS[outcome]],
            "replicas": 1 if outcome == "confirmed" else None,
        }
        self.operations.append(Operation(**plain | other))
        return self
