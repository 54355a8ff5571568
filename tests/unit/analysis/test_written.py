from collections.abc import Callable
from typing import Any

import pytest

from analysis.nodes.copies import Copy
from analysis.study.write_plan import WritePlan
from analysis.study.written import why_not_written

PLAN = WritePlan(writes=20, keys=4, key_prefix="k", seed=1)
BEFORE_INDEX = 100


def leader_copy(damage: Callable[[dict[str, Any], dict[str, int]], object]) -> Copy:
    values = PLAN.values_by_key()
    store: dict[str, Any] = {key: max(values[key]) for key in values} | {"older": "x"}
    versions = {key: BEFORE_INDEX + 1 + number for number, key in enumerate(values)} | {"older": 3}
    damage(store, versions)
    return Copy(120, 1, store, versions, "d")


def test_everything_written_is_found() -> None:
    assert why_not_written(leader_copy(lambda *_: None), PLAN, BEFORE_INDEX) == []


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (lambda store, _: store.pop("k2"), "1 keys are missing on the leader"),
        (lambda store, _: store.update(k2=99), "1 keys on the leader have a value that was not"),
        (lambda store, _: store.update(k2=True), "1 keys on the leader have a value that was not"),
        (lambda store, _: store.update(k2={}), "1 keys on the leader have a value that was not"),
        (
            lambda store, _: store.update(k1=store["k2"]),
            "1 keys on the leader have a value that was not",
        ),
        (
            lambda _, versions: versions.update(k2=BEFORE_INDEX),
            "1 keys on the leader have a version from before the load",
        ),
        (
            lambda _, versions: versions.pop("k2"),
            "1 keys on the leader have a version from before the load",
        ),
    ],
)
def test_every_damage_is_found(
    damage: Callable[[dict[str, Any], dict[str, int]], object], problem: str
) -> None:
    (found,) = why_not_written(leader_copy(damage), PLAN, BEFORE_INDEX)
    assert found.startswith(problem)
