"""Rules about versions: one order of all writes, and no way back in it."""

import heapq
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

from tests.chaos.fault import LEADER
from tests.chaos.findings import Finding
from tests.chaos.history import Call, History


@dataclass(frozen=True, slots=True)
class _Sighting:
    """An answer that says which version a write has.

    :param losses_ns: when the write may have been lost, because it was not confirmed yet: then both
        its version and its value may be used again.
    """

    call: Call
    what: tuple[str, str]
    version: int
    losses_ns: list[int]


def ambiguous_versions(history: History) -> Iterator[Finding]:
    """A write has one version, and a version belongs to one write."""
    by_what: dict[tuple[str, str], dict[int, list[_Sighting]]] = defaultdict(dict)
    by_version: dict[int, dict[tuple[str, str], list[_Sighting]]] = defaultdict(dict)
    for sighting in _sightings(history):
        by_what[sighting.what].setdefault(sighting.version, []).append(sighting)
        by_version[sighting.version].setdefault(sighting.what, []).append(sighting)
    for rule, groups in (
        ("write with two versions", by_what.values()),
        ("version of two writes", by_version.values()),
    ):
        for group in groups:
            for some, others in combinations(group.values(), 2):
                yield from _judge_pairs(rule, some, others)


def _sightings(history: History) -> Iterator[_Sighting]:
    killed = [killed.at_ns for killed in history.killed if killed.node == LEADER]
    emptied = [emptied.at_ns for emptied in history.emptied if emptied.node == LEADER]
    for call in history.calls:
        if call.version is None:
            continue
        losses_ns: list[int] = []
        if call.outcome == "open":
            losses_ns = killed + emptied  # it need not be durable on the leader
        elif call.node != LEADER:
            losses_ns = emptied  # a follower shows what the leader has on its disk
        write = f"delete #{call.id}" if call.kind == "delete" else str(call.value)
        yield _Sighting(call, (call.key, write), call.version, losses_ns)


def _judge_pairs(rule: str, some: list[_Sighting], others: list[_Sighting]) -> Iterator[Finding]:
    for one in some:
        for other in others:
            first, second = sorted((one, other), key=lambda sighting: sighting.call.start_ns)
            lost = any(
                first.call.start_ns <= at_ns <= second.call.end_ns for at_ns in first.losses_ns
            )
            if not lost:
                text = f"{first.what[1]} has version {first.version}, "
                text += f"{second.what[1]} has version {second.version}"
                yield Finding(rule, text, [first.call, second.call])
                return


def disordered_versions(history: History) -> Iterator[Finding]:
    """A write that began after another was confirmed has a greater version, whatever its key."""
    confirmed = [call for call in history.calls if call.is_write and call.outcome == "confirmed"]
    running: list[tuple[int, int, Call]] = []
    newest: Call | None = None
    for call in confirmed:
        while running and running[0][0] < call.start_ns:
            _, _, ended = heapq.heappop(running)
            if newest is None or _version(ended) > _version(newest):
                newest = ended
        if newest is not None and _version(call) <= _version(newest):
            yield Finding(
                "versions out of order", "the later write has no greater version", [newest, call]
            )
        heapq.heappush(running, (call.end_ns, call.id, call))


def reads_that_go_back(history: History) -> Iterator[Finding]:
    """On a node that keeps its state, no key goes back to an older version."""
    lives: dict[tuple[str, str, int], list[Call]] = defaultdict(list)
    emptied = defaultdict(list)
    for loss in history.emptied:
        emptied[loss.node].append(loss.at_ns)
    for call in history.calls:
        if call.outcome in ("found", "absent"):
            life = sum(at_ns < call.start_ns for at_ns in emptied[call.node])
            lives[call.node, call.key, life].append(call)
    for reads in lives.values():
        yield from _judge_reads(reads)


@dataclass(frozen=True, slots=True)
class _Floor:
    """The lowest version that a later read may return, and the read that says so."""

    version: int
    read: Call


def _judge_reads(reads: list[Call]) -> Iterator[Finding]:
    running: list[tuple[int, int, _Floor]] = []
    floor: _Floor | None = None
    for read in reads:
        while running and running[0][0] < read.start_ns:
            _, _, ended = heapq.heappop(running)
            if floor is None or ended.version > floor.version:
                floor = ended
        if floor is not None and read.outcome == "found" and _version(read) < floor.version:
            yield Finding("node went back", "a later read has an older version", [floor.read, read])
        if read.outcome == "found":
            own = _Floor(_version(read), read)
        elif floor is not None:
            # What was there has been deleted since, under a greater version.
            own = _Floor(floor.version + (floor.read.outcome == "found"), read)
        else:
            continue
        heapq.heappush(running, (read.end_ns, read.id, own))


def unmet_minimum_versions(history: History) -> Iterator[Finding]:
    """A node that has applied an index has applied everything up to it, of every key."""
    writes: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.is_write and call.outcome != "refused":
            writes[call.key].append(call)
    for read in history.calls:
        if read.min_version is not None and read.outcome in ("found", "absent"):
            yield from _judge_minimum(read, read.min_version, writes[read.key])


def _judge_minimum(read: Call, minimum: int, writes: list[Call]) -> Iterator[Finding]:
    applied = [
        call
        for call in writes
        if call.outcome == "confirmed" and call.version is not None and call.version <= minimum
    ]
    newest = max(applied, key=_version, default=None)
    if newest is None:
        return
    if read.outcome == "found" and _version(read) < _version(newest) + (newest.kind == "delete"):
        yield Finding("applied index skips a write", f"{minimum} was asked for", [newest, read])
    if read.outcome == "absent" and not any(
        call.kind == "delete"
        and (call.version is None or call.version >= _version(newest))
        and call.start_ns <= read.end_ns
        for call in writes
    ):
        yield Finding("applied index skips a write", "no delete explains this", [newest, read])


def _version(call: Call) -> int:
    assert call.version is not None, f"call {call.id} has no version"
    return call.version
