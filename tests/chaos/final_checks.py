"""Rules about the end: nothing confirmed is lost, and all copies are equal."""

from collections import defaultdict
from collections.abc import Iterator

import msgspec

from analysis.nodes.copies import Copy, compare_copies
from tests.chaos.fault import LEADER
from tests.chaos.findings import Finding
from tests.chaos.history import Call, History, NodeCopy


def problems(history: History) -> Iterator[Finding]:
    """The campaign came to its end, and the nodes took it well."""
    if history.end is None:
        yield Finding("incomplete", "the campaign was interrupted")
        return
    for problem in history.end.problems:
        yield Finding("problem", problem)
    expected = history.campaign.followers + 1
    if len(history.copies) != expected:
        yield Finding("incomplete", f"copies of {len(history.copies)} of {expected} nodes")


def nothing_shown(history: History) -> Iterator[Finding]:
    """A campaign without confirmed writes or without reads would pass whatever is wrong."""
    for outcome in ("confirmed", "found"):
        if not any(call.outcome == outcome for call in history.calls):
            yield Finding("nothing shown", f"no call was {outcome}")


def lost_writes(history: History) -> Iterator[Finding]:
    """Every confirmed write is held by every node, or was overwritten by a later one."""
    writes: dict[str, list[Call]] = defaultdict(list)
    for call in history.calls:
        if call.is_write and call.outcome != "refused":
            writes[call.key].append(call)
    for copy in history.copies:
        for key, calls in writes.items():
            yield from _judge_key(copy, key, calls)


def _judge_key(copy: NodeCopy, key: str, writes: list[Call]) -> Iterator[Finding]:
    confirmed = [call for call in writes if call.outcome == "confirmed"]
    newest = max(confirmed, key=lambda call: call.version or 0, default=None)
    if newest is None or newest.version is None:
        return
    held = copy.versions.get(key)
    if held is None:
        deletes = [call for call in writes if call.kind == "delete"]
        if not any(call.version is None or call.version >= newest.version for call in deletes):
            yield Finding("confirmed write lost", f"{copy.node} has no {key}", [newest])
    elif held < newest.version:
        text = f"{copy.node} holds {key}={copy.store[key]} of version {held}"
        yield Finding("confirmed write lost", text, [newest])
    elif held == newest.version and copy.store[key] != newest.value:
        text = f"{copy.node} holds {key}={copy.store[key]} in the same version"
        yield Finding("confirmed write lost", text, [newest])


def different_copies(history: History) -> Iterator[Finding]:
    """All nodes hold the same keys, values and versions at the same index."""
    copies = {copy.node: _copy(copy) for copy in history.copies}
    leader = copies.pop(LEADER, None)
    if leader is None:
        return
    for node, copy in copies.items():
        difference = compare_copies(leader, copy)
        if not difference.is_empty:
            yield Finding("copies differ", f"{node} from the leader: {difference.describe()}")


def _copy(copy: NodeCopy) -> Copy:
    fields = msgspec.structs.asdict(copy)
    del fields["node"]
    return Copy(**fields)
