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
    "confirmed write lost": {
        "a confirmed write is gone": written().history(EMPTY),
        "a delete from before cannot explain that": B().open_delete(1).put("a", 2).history(EMPTY),
        "an older version is held": overwritten().history(HELD),
        "another value has the same version": written().open_put("b").history(held({"k": "b"})),
        "a follower has lost what the leader holds": written().history(HELD, EMPTY),
    },
    "copies differ": {
        "stores differ": written().history(HELD, EMPTY),
        "digests differ": written().history(HELD, held({"k": "a"}, digest="x")),
    },
    "value never written": {
        "a value is held that nobody wrote": written().history(held({"k": "x"})),
    },
    "refused write happened": {
        "a refused write is held": written().refused_put("b").history(held({"k": "b"}, 2)),
    },
    "nothing shown": {
        "nothing was confirmed": B().refused_put("a").read(None).history(EMPTY),
    },
}

BROKEN = {
    "undocumented answer": {
        "an answer that is not documented": B().read(None, answers=[500]),
        "412 without a condition": B().refused_put("a", answers=[412]),
        "a follower takes a write": B().put("a", 1, **FOLLOWER),
        "a read without min_version waits": B().read(None, answers=[504]),
    },
    "confirmed too early": {"by too few": B().put("a", 1, replicas=0)},
    "answer without a version": {"of a write": B().put("a")},
    "value never written": {"but read": written().read("x", 2, **FOLLOWER)},
    "value of another key": {"is read": written().read("a", 1, key="other")},
    "refused write happened": {"is read": written().refused_put("b").read("b", 2, **FOLLOWER)},
    "write with two versions": {
        "a value has two versions": written().read("a", 2),
        "an open write has two versions, and the leader lost nothing": B()
        .open_put("a", 1)
        .empty("follower1")
        .read("a", 2),
    },
    "version of two writes": {
        "two writes have one version": written().put("b", 1),
        "a delete has the version of a put": written().delete(1),
        "a write that a follower showed is lost, and the leader's directory is not": B()
        .open_put("a")
        .read("a", 1, **FOLLOWER)
        .kill("leader")
        .put("b", 1),
        "an open write is lost, and the leader was not killed": B()
        .open_put("a", 1)
        .kill("follower1")
        .put("b", 1),
    },
    "versions out of order": {
        "a later write has a smaller version": B().put("a", 2).put("b", 1, key="other"),
        "a later write has the same version": B().put("a", 1).put("b", 1, key="other"),
    },
    "node went back": {
        "to an older value": overwritten().read("b", 2, **FOLLOWER).read("a", 1, **FOLLOWER),
        "to a deleted value": written()
        .read("a", 1, **FOLLOWER)
        .read(None, **FOLLOWER)
        .read("a", 1, **FOLLOWER),
    },
    "applied index skips a write": {
        "to the key": overwritten().read("a", 1, **FOLLOWER, min_version=2),
        "to the key, and another key's is asked for": overwritten()
        .put("z", 3, key="other")
        .read("a", 1, **FOLLOWER, min_version=3),
        "a delete": written()
        .delete(2)
        .put("z", 3, key="other")
        .read("a", 1, **FOLLOWER, min_version=3),
        "on an empty node": written().read(None, **FOLLOWER, min_version=1),
        "a delete that had not begun explains nothing": written()
        .read(None, **FOLLOWER, min_version=1)
        .delete(2),
        "a delete from before explains nothing": B()
        .delete(1)
        .put("a", 2)
        .read(None, **FOLLOWER, min_version=2),
        "a value is read in a version that is a delete's": written()
        .delete(2)
        .read("b", 2, **FOLLOWER, min_version=2),
    },
    "not linearizable": {"a stale read on the leader": overwritten().read("a", 1)},
}


@pytest.mark.parametrize(
    ("rule", "history"),
    [
        pytest.param(rule, history, id=f"{rule}: {name}")
        for rule, histories in BROKEN_AT_THE_END.items()
        for name, history in histories.items()
    ]
    + [
        pytest.param(rule, operations.history(HELD), id=f"{rule}: {name}")
        for rule, histories in BROKEN.items()
        for name, operations in histories.items()
    ],
)
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
