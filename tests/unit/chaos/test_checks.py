"""Every rule of the campaign's verdict: a history that keeps it, and histories that break it."""

import pytest

from tests.chaos.history import History, Precondition
from tests.chaos.judgement import judge
from tests.unit.chaos.samples import FOLLOWER, held
from tests.unit.chaos.samples import HistoryBuilder as B

HELD = held({"k": "a"})
EMPTY = held({})


def rules_broken(history: History) -> set[str]:
    judgement = judge(history, search_s=10.0)
    assert not judgement.undecided
    return {finding.rule for finding in judgement.findings}


def written() -> B:
    return B().put("a", 1).read("a", 1)


def overwritten() -> B:
    return B().put("a", 1).put("b", 2)


BROKEN_AT_THE_END = {
    "a confirmed write is gone": ("confirmed write lost", written().history(EMPTY)),
    "a delete from before cannot explain that a write is gone": (
        "confirmed write lost",
        B().open_delete(1).put("a", 2).history(EMPTY),
    ),
    "an older version is held": ("confirmed write lost", overwritten().history(HELD)),
    "another value is held in the same version": (
        "confirmed write lost",
        written().open_put("b").history(held({"k": "b"})),
    ),
    "a follower has lost what the leader holds": (
        "confirmed write lost",
        written().history(HELD, EMPTY),
    ),
    "copies differ": ("copies differ", written().history(HELD, EMPTY)),
    "digests differ": (
        "copies differ",
        written().history(HELD, held({"k": "a"}, digest="x")),
    ),
    "a value is held that nobody wrote": (
        "value never written",
        written().history(held({"k": "x"})),
    ),
    "a refused write is held": (
        "refused write happened",
        written().refused_put("b").history(held({"k": "b"}, 2)),
    ),
    "nothing was confirmed": ("nothing shown", B().refused_put("a").read(None).history(EMPTY)),
}

BROKEN = {
    # Answers
    "an answer that is not documented": ("undocumented answer", B().read(None, answers=[500])),
    "412 without a condition": ("undocumented answer", B().refused_put("a", answers=[412])),
    "a follower takes a write": ("undocumented answer", B().put("a", 1, **FOLLOWER)),
    "a read without min_version waits": ("undocumented answer", B().read(None, answers=[504])),
    "a write is confirmed by too few": ("confirmed too early", B().put("a", 1, replicas=0)),
    "a write has no version": ("answer without a version", B().put("a")),
    "a value is read that nobody wrote": (
        "value never written",
        written().read("x", 2, **FOLLOWER),
    ),
    "a value is read under another key": (
        "value of another key",
        written().read("a", 1, key="other"),
    ),
    "a refused write is read": (
        "refused write happened",
        written().refused_put("b").read("b", 2, **FOLLOWER),
    ),
    # Versions
    "a value has two versions": ("write with two versions", written().read("a", 2)),
    "an open write has two versions, and the leader lost nothing": (
        "write with two versions",
        B().open_put("a", 1).empty("follower1").read("a", 2),
    ),
    "a write that a follower showed is lost, and the leader's directory is not": (
        "version of two writes",
        B().open_put("a").read("a", 1, **FOLLOWER).kill("leader").put("b", 1),
    ),
    "an open write is lost, and the leader was not killed": (
        "version of two writes",
        B().open_put("a", 1).kill("follower1").put("b", 1),
    ),
    "two writes have one version": ("version of two writes", written().put("b", 1)),
    "a delete has the version of a put": ("version of two writes", written().delete(1)),
    "a later write has a smaller version": (
        "versions out of order",
        B().put("a", 2).put("b", 1, key="other"),
    ),
    "a later write has the same version": (
        "versions out of order",
        B().put("a", 1).put("b", 1, key="other"),
    ),
    # Reads on one node
    "a node goes back": (
        "node went back",
        overwritten().read("b", 2, **FOLLOWER).read("a", 1, **FOLLOWER),
    ),
    "a node brings a deleted value back": (
        "node went back",
        written().read("a", 1, **FOLLOWER).read(None, **FOLLOWER).read("a", 1, **FOLLOWER),
    ),
    "min_version is ignored": (
        "applied index skips a write",
        overwritten().read("a", 1, **FOLLOWER, min_version=2),
    ),
    "min_version of a later write to another key is ignored": (
        "applied index skips a write",
        overwritten().put("z", 3, key="other").read("a", 1, **FOLLOWER, min_version=3),
    ),
    "a delete is skipped": (
        "applied index skips a write",
        written().delete(2).put("z", 3, key="other").read("a", 1, **FOLLOWER, min_version=3),
    ),
    "min_version is ignored by an empty node": (
        "applied index skips a write",
        written().read(None, **FOLLOWER, min_version=1),
    ),
    "a delete that had not begun explains nothing": (
        "applied index skips a write",
        written().read(None, **FOLLOWER, min_version=1).delete(2),
    ),
    "a delete from before explains nothing": (
        "applied index skips a write",
        B().delete(1).put("a", 2).read(None, **FOLLOWER, min_version=2),
    ),
    "a value is read in a version that is a delete's": (
        "applied index skips a write",
        written().delete(2).read("b", 2, **FOLLOWER, min_version=2),
    ),
    # Linear order
    "a stale read on the leader": ("not linearizable", overwritten().read("a", 1)),
}


WRONG = BROKEN_AT_THE_END | {
    name: (rule, operations.history(HELD)) for name, (rule, operations) in BROKEN.items()
}


@pytest.mark.parametrize(("rule", "history"), WRONG.values(), ids=WRONG)
def test_a_rule_is_broken(rule: str, history: History) -> None:
    assert rule in rules_broken(history)


ALLOWED = {
    "a follower may lag": overwritten().read("a", 1, **FOLLOWER),
    "reads that overlap may be seen in either order": overwritten()
    .read("b", 2, **FOLLOWER, at=(100, 200))
    .read("a", 1, **FOLLOWER, at=(150, 160)),
    "an emptied node may go back": overwritten()
    .read("b", 2, **FOLLOWER)
    .empty("follower1")
    .read("a", 1, **FOLLOWER),
    "an open write lost with the leader's directory may be repeated": B()
    .open_put("a", 1)
    .empty("leader")
    .put("b", 1)
    .put("c", 2),
    "an open write that was not durable may be lost with the leader": B()
    .open_put("a", 1)
    .kill("leader")
    .put("b", 1),
    "an open write may have happened": written().open_put("c", 2).read("c", 2),
    "a refused write has not": written().refused_put("b").read("a", 1).delete(3).read(None),
    "concurrent writes get any versions": B().put("a", 2, at=(1, 50)).put("b", 1, at=(1, 50)),
    "min_version of an earlier write": B()
    .put("a", 2)
    .put("b", 3)
    .read("a", 2, **FOLLOWER, min_version=2)
    .read(None, **FOLLOWER, min_version=1),
    "a delete explains why a read finds nothing": B()
    .put("a", 1)
    .open_delete()
    .read(None, **FOLLOWER, min_version=1),
    "a refused conditional write": B()
    .put("a", 1)
    .refused_put("b", precondition=Precondition(7, "x"), answers=[412]),
}


@pytest.mark.parametrize("operations", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_not_found(operations: B) -> None:
    operations.read(None, key="other").put("z", 99).read("z", 99)
    assert rules_broken(operations.history(held({"k": "z"}, 99))) == set()


def test_a_campaign_with_a_problem_or_without_a_copy_does_not_pass() -> None:
    history = written().history(HELD)
    history.problems = ["follower1 died by itself"]
    assert rules_broken(history) == {"problem"}
    history.problems = []
    del history.copies["follower1"]
    assert rules_broken(history) == {"incomplete"}


def test_a_search_without_time_is_undecided() -> None:
    judgement = judge(written().history(HELD), search_s=0.0)
    assert judgement.undecided == ["k"]
    assert not judgement.passed


def test_the_finding_names_the_operations_that_show_it() -> None:
    operations = B()
    for number in range(1, 30):
        operations.put(f"v{number}", number).read(f"v{number}", number)
    operations.read("v20", 20)
    for number in range(30, 40):
        operations.put(f"v{number}", number)
    judgement = judge(operations.history(held({"k": "v39"}, 39)), search_s=10.0)
    (finding,) = [found for found in judgement.findings if found.rule == "not linearizable"]
    # The value, one that overwrote it and was seen, and the read that came too late.
    assert len(finding.operations) == 3
    assert finding.operations[-1].value == "v20"
    assert f"#{finding.operations[-1].id}" in finding.text
