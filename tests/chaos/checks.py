"""Rules about single answers, and about the end: nothing is lost, and all copies are equal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kvstore.api_types import Store
from kvstore.client.copies import compare_copies
from tests.chaos.fault import LEADER
from tests.chaos.history import History, Operation


@dataclass(frozen=True)
class Finding:
    """One thing that must not be.

    :param rule: what was broken, in a few words.
    :param text: what happened.
    :param operations: those that show it, in the order of their starts.
    """

    rule: str
    text: str
    operations: Sequence[Operation] = field(default=())

    def lines(self) -> list[str]:
        """For people."""
        return [f"{self.rule}: {self.text}", *(f"    {op.describe()}" for op in self.operations)]


# Answers


def unexpected_answers(history: History) -> Iterator[Finding]:
    """Every answer is one of those that are documented for such an operation."""
    for op in history.operations:
        expected = _documented(op)
        for answer in op.answers:
            if isinstance(answer, int) and answer not in expected:
                yield Finding("undocumented answer", f"status {answer}", [op])


def _documented(op: Operation) -> set[int]:
    if op.kind == "read":
        return {200, 404, 503} | ({504} if op.min_version is not None else set())
    if op.node != LEADER:
        return {403}
    return {200, 503, 504} | ({412} if op.precondition is not None else set())


def incomplete_answers(history: History) -> Iterator[Finding]:
    """A confirmed write names at least W followers that hold it; it and a read name a version."""
    wanted = history.campaign.write_quorum
    for op in history.operations:
        if op.outcome in ("confirmed", "found") and op.version is None:
            yield Finding("answer without a version", "which value is meant is not known", [op])
        if op.outcome == "confirmed" and (op.replicas is None or op.replicas < wanted):
            text = f"{op.replicas} followers hold it, W is {wanted}"
            yield Finding("confirmed too early", text, [op])


def values_from_nowhere(history: History) -> Iterator[Finding]:
    """Whatever is read, and whatever a node holds at the end, was written, and was not refused."""
    puts = {op.value: op for op in history.operations if op.kind == "put"}
    seen = [
        (op.key, op.value, f"read on {op.node}", [op])
        for op in history.operations
        if op.outcome == "found"
    ]
    for node, copy in history.copies.items():
        where = f"held by {node} at the end"
        seen += [(key, value, where, []) for key, value in copy.store.items()]
    for key, value, where, reads in seen:
        put = puts.get(value)
        if put is None:
            yield Finding("value never written", f"{value} was {where} under {key}", reads)
        elif put.key != key:
            text = f"{value} was {where} under {key}"
            yield Finding("value of another key", text, [put, *reads])
        elif put.outcome == "refused":
            yield Finding("refused write happened", f"{value} was {where}", [put, *reads])


# The end


def problems(history: History) -> Iterator[Finding]:
    """The nodes took it well, and all of them were looked at."""
    for problem in history.problems:
        yield Finding("problem", problem)
    expected = history.campaign.followers + 1
    if len(history.copies) != expected:
        yield Finding("incomplete", f"copies of {len(history.copies)} of {expected} nodes")


def nothing_shown(history: History) -> Iterator[Finding]:
    """A campaign without confirmed writes or without reads would pass whatever is wrong."""
    for outcome in ("confirmed", "found"):
        if not any(op.outcome == outcome for op in history.operations):
            yield Finding("nothing shown", f"no operation was {outcome}")


def lost_writes(history: History) -> Iterator[Finding]:
    """Every confirmed write is held by every node, or was overwritten by a later one."""
    for key, writes in history.writes().items():
        confirmed = [op for op in writes if op.outcome == "confirmed"]
        newest = max(confirmed, key=lambda op: op.version or 0, default=None)
        if newest is not None:
            deletes = [op for op in writes if op.kind == "delete"]
            for node, copy in history.copies.items():
                text = _why_lost(copy, key, newest, deletes)
                if text is not None:
                    yield Finding("confirmed write lost", f"{node} {text}", [newest])


def _why_lost(copy: Store, key: str, newest: Operation, deletes: list[Operation]) -> str | None:
    version = newest.version or 0
    held = copy.versions.get(key)
    if held is None:
        is_explained = any(op.version is None or op.version >= version for op in deletes)
        return None if is_explained else f"has no {key}"
    if held < version or (held == version and copy.store[key] != newest.value):
        return f"holds {key}={copy.store[key]} of version {held}"
    return None


def different_copies(history: History) -> Iterator[Finding]:
    """All nodes hold the same keys, values and versions at the same index."""
    leader = history.copies.get(LEADER)
    for node, copy in history.copies.items():
        difference = compare_copies(leader or copy, copy)
        if not difference.is_empty:
            yield Finding("copies differ", f"{node} from the leader: {difference.describe()}")
