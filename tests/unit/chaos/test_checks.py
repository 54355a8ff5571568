"""Every rule of the campaign's verdict: a history that keeps it, and histories that break it."""

import pytest

from tests.chaos.history import Attempt, History, Precondition
from tests.chaos.judgement import judge
from tests.unit.chaos.samples import HistoryBuilder, copies

B = HistoryBuilder


def rules_broken(history: History) -> set[str]:
    judgement = judge(history, search_s=10)
    assert not judgement.undecided
    return {finding.rule for finding in judgement.findings}


def test_a_good_history_passes() -> None:
    calls = B().put("a", version=1).read("a", version=1).put("b", "refused").put("c", "open")
    calls.read("a", version=1, node="follower1").delete(version=3).read(None)
    assert rules_broken(calls.history(copies({}, {}, 3))) == set()


def test_a_good_history_with_an_open_write_that_happened_passes() -> None:
    calls = B().put("a", version=1).read("a", version=1).put("c", "open", version=2)
    calls.read("c", version=2)
    assert rules_broken(calls.history(copies({"k": "c"}, {"k": 2}, 2))) == set()


def _nothing_lost() -> HistoryBuilder:
    return B().put("a", version=1).read("a", version=1)


HELD = copies({"k": "a"}, {"k": 1}, 1)

BROKEN = {
    # The end
    "a confirmed write is gone": (
        "confirmed write lost",
        _nothing_lost().history(copies({}, {}, 1)),
    ),
    "a confirmed write is gone, and a delete from before cannot explain it": (
        "confirmed write lost",
        B().delete("open", version=1).put("a", version=2).history(copies({}, {}, 2)),
    ),
    "an older version is held": (
        "confirmed write lost",
        B().put("a", version=1).put("b", version=2).history(HELD),
    ),
    "another value is held in the same version": (
        "confirmed write lost",
        _nothing_lost().put("b", "open").history(copies({"k": "b"}, {"k": 1}, 1)),
    ),
    "a follower has lost what the leader holds": (
        "confirmed write lost",
        _nothing_lost().history([HELD[0], copies({}, {}, 1)[1]]),
    ),
    "copies differ": ("copies differ", _nothing_lost().history([HELD[0], copies({}, {}, 1)[1]])),
    "digests differ": (
        "copies differ",
        _nothing_lost().history([HELD[0], copies({"k": "a"}, {"k": 1}, 1, digest="x")[1]]),
    ),
    "a copy is missing": ("incomplete", _nothing_lost().history(HELD[:1])),
    "a deleted key is there again": (
        "not linearizable",
        _nothing_lost().delete(version=2).read("a", version=1).history(HELD),
    ),
    # Answers
    "an answer that is not documented": (
        "undocumented answer",
        B().read(None, attempts=[Attempt(1, 2, 500)]).history(HELD),
    ),
    "412 without a condition": (
        "undocumented answer",
        B().put("a", "refused", attempts=[Attempt(1, 2, 412)]).history(HELD),
    ),
    "a follower takes a write": (
        "undocumented answer",
        B().put("a", version=1, node="follower1").history(HELD),
    ),
    "a read without min_version waits": (
        "undocumented answer",
        B().read(None, attempts=[Attempt(1, 2, 504)]).history(HELD),
    ),
    "a write is confirmed by too few": (
        "confirmed too early",
        B().put("a", version=1, replicas=0).history(HELD),
    ),
    "a value is read that nobody wrote": (
        "value never written",
        _nothing_lost().read("x", version=2, node="follower1").history(HELD),
    ),
    "a value is held that nobody wrote": (
        "value never written",
        _nothing_lost().history(copies({"k": "x"}, {"k": 1}, 1)),
    ),
    "a value is read under another key": (
        "value of another key",
        _nothing_lost().read("a", version=1, key="other").history(HELD),
    ),
    "a refused write is read": (
        "refused write happened",
        _nothing_lost().put("b", "refused").read("b", version=2, node="follower1").history(HELD),
    ),
    "a refused write is held": (
        "refused write happened",
        _nothing_lost().put("b", "refused").history(copies({"k": "b"}, {"k": 2}, 2)),
    ),
    # Versions
    "a value has two versions": (
        "write with two versions",
        _nothing_lost().read("a", version=2).history(HELD),
    ),
    "an open write has two versions, and the leader lost nothing": (
        "write with two versions",
        B().put("a", "open", version=1).empty("follower1").read("a", version=2).history(HELD),
    ),
    "a write that a follower showed is lost, and the leader's directory is not": (
        "version of two writes",
        B()
        .put("a", "open")
        .read("a", version=1, node="follower1")
        .kill("leader")
        .put("b", version=1)
        .history(HELD),
    ),
    "an open write is lost, and the leader was not killed": (
        "version of two writes",
        B().put("a", "open", version=1).kill("follower1").put("b", version=1).history(HELD),
    ),
    "two writes have one version": (
        "version of two writes",
        _nothing_lost().put("b", version=1).history(HELD),
    ),
    "a delete has the version of a put": (
        "version of two writes",
        _nothing_lost().delete(version=1).history(HELD),
    ),
    "a later write has a smaller version": (
        "versions out of order",
        B().put("a", version=2).put("b", version=1, key="other").history(HELD),
    ),
    # Reads on one node
    "a node goes back": (
        "node went back",
        B()
        .put("a", version=1)
        .put("b", version=2)
        .read("b", version=2, node="follower1")
        .read("a", version=1, node="follower1")
        .history(HELD),
    ),
    "a node brings a deleted value back": (
        "node went back",
        _nothing_lost()
        .read("a", version=1, node="follower1")
        .read(None, node="follower1")
        .read("a", version=1, node="follower1")
        .history(HELD),
    ),
    "min_version is ignored": (
        "applied index skips a write",
        B()
        .put("a", version=1)
        .put("b", version=2)
        .read("a", version=1, node="follower1", min_version=2)
        .history(HELD),
    ),
    "min_version of a later write to another key is ignored": (
        "applied index skips a write",
        B()
        .put("a", version=1)
        .put("b", version=2)
        .put("z", version=3, key="other")
        .read("a", version=1, node="follower1", min_version=3)
        .history(HELD),
    ),
    "a delete is skipped": (
        "applied index skips a write",
        _nothing_lost()
        .delete(version=2)
        .put("z", version=3, key="other")
        .read("a", version=1, node="follower1", min_version=3)
        .history(HELD),
    ),
    "min_version is ignored by an empty node": (
        "applied index skips a write",
        _nothing_lost().read(None, node="follower1", min_version=1).history(HELD),
    ),
    # Linear order
    "a stale read on the leader": (
        "not linearizable",
        B().put("a", version=1).put("b", version=2).read("a", version=1).history(HELD),
    ),
    "a lost update": (
        "not linearizable",
        _nothing_lost()
        .put("b", version=2, precondition=Precondition(1, "a"))
        .put("c", version=3, precondition=Precondition(1, "a"))
        .history(HELD),
    ),
}


@pytest.mark.parametrize(("rule", "history"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rule_is_found(rule: str, history: History) -> None:
    assert rule in rules_broken(history)


ALLOWED = {
    "a follower may lag": B()
    .put("a", version=1)
    .put("b", version=2)
    .read("a", version=1, node="follower1"),
    "reads that overlap may be seen in either order": B()
    .put("a", version=1)
    .put("b", version=2)
    .read("b", version=2, node="follower1", at=(100, 200))
    .read("a", version=1, node="follower1", at=(150, 160)),
    "an emptied node may go back": B()
    .put("a", version=1)
    .put("b", version=2)
    .read("b", version=2, node="follower1")
    .empty("follower1")
    .read("a", version=1, node="follower1"),
    "an open write lost with the leader's directory may be repeated": B()
    .put("a", "open", version=1)
    .empty("leader")
    .put("b", version=1)
    .put("c", version=2),
    "an open write that was not durable may be lost with the leader": B()
    .put("a", "open", version=1)
    .kill("leader")
    .put("b", version=1),
    "concurrent writes get any versions": B()
    .put("a", version=2, at=(1, 50))
    .put("b", version=1, at=(1, 50)),
    "min_version of an earlier write": B()
    .put("a", version=2)
    .put("b", version=3)
    .read("a", version=2, node="follower1", min_version=2)
    .read(None, node="follower1", min_version=1),
    "a delete explains why a read finds nothing": B()
    .put("a", version=1)
    .delete("open")
    .read(None, node="follower1", min_version=1),
    "a refused conditional write": B()
    .put("a", version=1)
    .put("b", "refused", precondition=Precondition(7, "x"), attempts=[Attempt(1, 2, 412)]),
}


@pytest.mark.parametrize("calls", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_not_found(calls: HistoryBuilder) -> None:
    calls.read(None, key="other").put("z", version=99).read("z", version=99)
    assert rules_broken(calls.history(copies({"k": "z"}, {"k": 99}, 99))) == set()


def test_a_campaign_that_confirmed_nothing_shows_nothing() -> None:
    history = B().put("a", "refused").read(None).history(copies({}, {}, 0))
    assert rules_broken(history) == {"nothing shown"}


def test_an_interrupted_campaign_does_not_pass() -> None:
    history = _nothing_lost().history(HELD)
    history.end = None
    assert rules_broken(history) == {"incomplete"}


def test_a_spent_budget_is_said() -> None:
    calls = B()
    for number in range(12):
        calls.put(f"v{number}", version=number + 1, at=(0, 1000))
        calls.read(f"v{number}", version=number + 1, at=(0, 1000))
    judgement = judge(calls.history(copies({"k": "v11"}, {"k": 12}, 12)), search_s=0.0)
    assert judgement.undecided == ["k"]
    assert not judgement.passed


def test_the_finding_names_the_calls_that_show_it() -> None:
    calls = B()
    for number in range(1, 30):
        calls.put(f"v{number}", version=number).read(f"v{number}", version=number)
    calls.read("v20", version=20)
    for number in range(30, 40):
        calls.put(f"v{number}", version=number)
    judgement = judge(calls.history(copies({"k": "v39"}, {"k": 39}, 39)), search_s=10)
    (finding,) = [f for f in judgement.findings if f.rule == "not linearizable"]
    # The value, one that overwrote it and was seen, and the read that came too late.
    assert finding.operations[-1].value == "v20"
    assert len(finding.operations) == 3
    assert f"#{finding.operations[-1].id}" in finding.text
