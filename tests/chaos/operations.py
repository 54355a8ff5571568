"""The calls on one key, as the linearizability checker sees them."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["put", "delete", "read"]
Value = str | None
"""What the register holds; ``None`` = the key does not exist, as at the beginning."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A conditional write takes effect only while the register holds this value."""

    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call on one key, as its client saw it.

    A refused call has no effect and no place here, and neither has a read without an answer.

    :param id: unique in the history.
    :param value: what a put wrote, or what a read returned; ``None`` for a delete.
    :param start_ns: when the client sent it.
    :param end_ns: when the client had the answer; ``None`` for a write whose outcome is open: it
        takes effect at any time from its start on, or never.
    :param condition: of a conditional write that took effect, or whose outcome is open.
    """

    id: int
    kind: Kind
    value: Value
    start_ns: int
    end_ns: int | None
    condition: Condition | None = None

    @property
    def is_open(self) -> bool:
        """Whether it need not take effect."""
        return self.end_ns is None

    @property
    def observes(self) -> Condition | None:
        """What the register must hold for this call; ``None`` when it may hold anything."""
        return Condition(self.value) if self.kind == "read" else self.condition
