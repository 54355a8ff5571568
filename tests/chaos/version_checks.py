"""Rules about versions: one order of all writes, and no way back in it."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from tests.chaos.checks import Finding
from tests.chaos.fault import LEADER
from tests.chaos.history import History, Operation


class _Sighting(NamedTuple):
    """An answer that says which version a write has.

    :param write: its key, and its value or the delete's number.
    :param losses_ns: when the write may have been lost, because it was not confirmed yet: then both
        its version and its value may be used again.
    """

    op: Operation
    write: tuple[str, str]
    version: int
    losses_ns: list[int]


def ambiguous_versions(history: History) -> Iterator[Finding]:
    """A write has one version, and a version belongs to one write."""
    by_write: dict[object, dict[object, list[_Sighting]]] = defaultdict(lambda: defaultdict(list))
    by_version: dict[object, dict[object, list[_Sighting]]] = defaultdict(lambda: defaultdict(list))
    for sighting in _sightings(history):
        by_write[sighting.write][sighting.version].append(sighting)
        by_version[sighting.version][sighting.write].append(sighting)
    for rule, groups in (
        ("write with two versions", by_write.values()),
        ("version of two writes", by_version.values()),
    ):
        for group in groups:
            for some, others in combinations(group.values(), 2):
                yield from _contradiction(rule, some, others)


def _sightings(history: History) -> Iterator[_Sighting]:
    killed = [killed.at_ns for killed in history.killed if killed.node == LEADER]
    emptied = [emptied.at_ns for emptied in history.emptied if emptied.node == LEADER]
    for op in history.operations:
        if op.version is None:
            continue
        losses_ns: list[int] = []
        if op.is_open:
            losses_ns = killed + emptied  # it need not be durable on the leader
        elif op.node != LEADER:
            losses_ns = emptied  # a follower shows what the leader has on its disk
        write = f"delete #{op.id}" if op.kind == "delete" else str(op.value)
        yield _Sighting(op, (op.key, write), op.version, losses_ns)


def _contradiction(rule: str, some: list[_Sighting], others: list[_Sighting]) -> Iterator[Finding]:
    for one in some:
        for other in others:
            first, second = sorted((one, other), key=lambda sighting: sighting.op.start_ns)
            if not any(first.op.start_ns <= at <= second.op.end_ns for at in first.losses_ns):
                text = f"{first.write[1]} has version {first.version}, "
                text += f"{second.write[1]} has version {second.version}"
                yield Finding(rule, text, [first.op, second.op])
                return


def disordered_versions(history: History) -> Iterator[Finding]:
    """A write that began after another was confirmed has a greater version, whatever its key."""
    confirmed = [op for op in history.operations if op.outcome == "confirmed"]
    for before, write in _steps_back(confirmed):
        text = "the later write has no greater version"
        yield Finding("versions out of order", text, [before, write])


def reads_that_go_back(history: History) -> Iterator[Finding]:
    """On a node that keeps its state, no key goes back to an older version."""
    emptied = defaultdict(list)
    for loss in history.emptied:
        emptied[loss.node].append(loss.at_ns)
    lives: dict[tuple[str, str, int], list[Operation]] = defaultdict(list)
    for op in history.operations:
        if op.outcome in ("found", "absent"):
            life = sum(at_ns < op.start_ns for at_ns in emptied[op.node])
            lives[op.node, op.key, life].append(op)
    for reads in lives.values():
        for before, read in _steps_back(reads):
            yield Finding("node went back", "a later read has an older version", [before, read])


def _steps_back(operations: Sequence[Operation]) -> Iterator[tuple[Operation, Operation]]:
    """Operations whose versions are too low, each with one that had ended before and says so.

    :param operations: confirmed writes, or reads of one key on one node, by their starts.
    """
    by_end = sorted(operations, key=lambda op: op.end_ns, reverse=True)
    lowest: dict[int, int] = {}  # for each operation, the lowest version that may follow on it
    floor: tuple[int, Operation] | None = None
    for op in operations:
        while by_end and by_end[-1].end_ns < op.start_ns:
            ended = by_end.pop()
            if floor is None or lowest[ended.id] > floor[0]:
                floor = lowest[ended.id], ended
        if op.version is not None:
            if floor is not None and op.version < floor[0]:
                yield floor[1], op
            lowest[op.id] = op.version + op.is_write
        elif floor is None:
            lowest[op.id] = 0
        else:
            # What was there has been deleted since, under a greater version.
            lowest[op.id] = floor[0] + (floor[1].outcome == "found")


def unmet_minimum_versions(history: History) -> Iterator[Finding]:
    """A node that has applied an index has applied everything up to it, of every key."""
    writes = history.writes()
    for read in history.operations:
        if read.min_version is None or read.outcome not in ("found", "absent"):
            continue
        applied = [
            op
            for op in writes.get(read.key, ())
            if op.outcome == "confirmed" and _version(op) <= read.min_version
        ]
        newest = max(applied, key=_version, default=None)
        if newest is not None and not _may_follow(read, newest, writes[read.key]):
            text = f"{read.min_version} was asked for"
            yield Finding("applied index skips a write", text, [newest, read])


def _may_follow(read: Operation, newest: Operation, writes: list[Operation]) -> bool:
    """Whether a node that has applied a write may answer a read of its key like this."""
    if read.outcome == "found":
        return _version(read) >= _version(newest) + (newest.kind == "delete")
    return any(
        op.kind == "delete"
        and (op.version is None or op.version >= _version(newest))
        and op.start_ns <= read.end_ns
        for op in writes
    )


def _version(op: Operation) -> int:
    return op.version or 0
