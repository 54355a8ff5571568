"""Rules about single answers: documented, as confirmed as they say, and of written values only."""

from collections.abc import Iterator

from tests.chaos.fault import LEADER
from tests.chaos.findings import Finding
from tests.chaos.history import Call, History


def unexpected_answers(history: History) -> Iterator[Finding]:
    """Every answer is one of those that are documented for such a call."""
    for call in history.calls:
        expected = _documented(call)
        for attempt in call.attempts:
            if isinstance(attempt.answer, int) and attempt.answer not in expected:
                yield Finding("undocumented answer", f"status {attempt.answer}", [call])


def _documented(call: Call) -> set[int]:
    if call.kind == "read":
        return {200, 404, 503} | ({504} if call.min_version is not None else set())
    if call.node != LEADER:
        return {403}
    return {200, 503, 504} | ({412} if call.precondition is not None else set())


def unconfirmed_confirmations(history: History) -> Iterator[Finding]:
    """A confirmed write names at least W followers that hold it."""
    wanted = history.campaign.write_quorum
    for call in history.calls:
        if call.outcome == "confirmed" and (call.replicas is None or call.replicas < wanted):
            yield Finding(
                "confirmed too early", f"{call.replicas} followers hold it, W is {wanted}", [call]
            )


def values_from_nowhere(history: History) -> Iterator[Finding]:
    """Whatever is read, and whatever a node holds at the end, was written, and was not refused."""
    puts = {call.value: call for call in history.calls if call.kind == "put"}
    for call in history.calls:
        if call.outcome == "found":
            yield from _judge_source(call.key, call.value, puts, f"read on {call.node}", [call])
    for copy in history.copies:
        for key, value in copy.store.items():
            yield from _judge_source(key, value, puts, f"held by {copy.node} at the end", [])


def _judge_source(
    key: str, value: str | None, puts: dict[str | None, Call], where: str, calls: list[Call]
) -> Iterator[Finding]:
    put = puts.get(value)
    if put is None:
        yield Finding("value never written", f"{value} was {where} under {key}", calls)
    elif put.key != key:
        yield Finding("value of another key", f"{value} was {where} under {key}", [put, *calls])
    elif put.outcome == "refused":
        yield Finding("refused write happened", f"{value} was {where}", [put, *calls])
