"""What a check has found, and how calls are shown to people."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.chaos.history import Call

_S = 1_000_000_000


@dataclass(frozen=True)
class Finding:
    """One thing that must not be.

    :param rule: what was broken, in a few words.
    :param text: what happened.
    :param calls: those that show it, in the order of their starts.
    """

    rule: str
    text: str
    calls: Sequence[Call] = field(default=())

    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.rule}: {self.text}", *(f"    {describe(call)}" for call in self.calls)]


def describe(call: Call) -> str:
    """A call on one line."""
    what = {"put": f"put {call.key}={call.value}", "delete": f"delete {call.key}"}.get(
        call.kind, f"read {call.key}"
    )
    if call.precondition is not None:
        wanted = call.precondition.version
        what += " if absent" if wanted is None else f" if version {wanted}"
    if call.min_version is not None:
        what += f" from version {call.min_version}"
    outcome = f"{call.outcome} {call.value}" if call.outcome == "found" else call.outcome
    if call.version is not None:
        outcome += f", version {call.version}"
    answers = " then ".join(str(attempt.answer) for attempt in call.attempts)
    times = f"{call.start_ns / _S:.4f} to {call.end_ns / _S:.4f} s"
    return f"#{call.id} {call.client} {what} on {call.node}, {times}: {outcome} ({answers})"
