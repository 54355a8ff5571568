"""What records make of a node's state, and when the map follows."""

import pytest
from msgspec import Raw

from kvstore.core.entries import Item, ReignId, RememberedRequest
from kvstore.core.lineage import Lineage, ReignStart
from kvstore.core.node_state import NodeState
from kvstore.core.records import CutLog, Promise, ReplaceState, SaveEntries, StageParts
from tests.support.replication import R1, R2, at, first_entry, put

ITEM, REQUEST = Item("a", 2, Raw(b"1")), RememberedRequest("once", 2, "f")


def other_state(staging: str, last: int, *starts: tuple[ReignId, int]) -> ReplaceState:
    """A state that ends with an index of the last of these reigns, and keeps no entries."""
    position = at(last, starts[-1][0])
    lineage = Lineage(ReignStart(of, first) for of, first in starts)
    return ReplaceState(Promise(), staging, position, position, [], lineage, {})


def test_the_map_follows_what_is_durable() -> None:
    state = NodeState("n")
    state.change(SaveEntries([first_entry(1), put(2)]))
    state.change(StageParts("s", [ITEM], [REQUEST]))
    state.change(other_state("s", 9, (R2, 1)))
    state.change(other_state("empty", 8, (R2, 1)))
    state.change(SaveEntries([put(9, of=R2)]))
    found = []
    for record in state.take_unsaved():
        assert state.log.last == at(9, R2)
        state.execute(record)
        found.append((state.map.position, len(state.map), len(state.map.requests.requests())))
    assert found == [
        (at(2), 1, 0),
        (at(2), 1, 0),
        (at(9, R2), 1, 1),
        (at(8, R2), 0, 0),
        (at(9, R2), 1, 0),
    ]
    assert state.take_unsaved() == []


@pytest.mark.parametrize(
    ("base", "starts", "last", "discarded"),
    [
        pytest.param(0, [(R1, 1)], 8, [], id="a prefix"),
        pytest.param(0, [(R1, 1)], 4, [5, 6], id="longer"),
        pytest.param(0, [(R1, 1), (R2, 3)], 9, [3, 4, 5, 6], id="parts"),
        pytest.param(0, [(R2, 1)], 9, [1, 2, 3, 4, 5, 6], id="nothing in common"),
        pytest.param(4, [(R1, 1), (R2, 3)], 9, [3, 4, 5, 6], id="parts before the base"),
        pytest.param(4, [(R1, 1), (R2, 6)], 9, [6], id="parts behind the base"),
    ],
)
def test_what_a_new_state_does_not_hold_is_discarded(
    base: int, starts: list[tuple[ReignId, int]], last: int, discarded: list[int]
) -> None:
    state = NodeState("n")
    state.apply(SaveEntries([first_entry(1), *(put(index, f"k{index}") for index in range(2, 7))]))
    if base:
        state.apply(CutLog(base))
    state.replace(other_state("s", last, *starts))
    (record,) = state.take_unsaved()
    assert isinstance(record, ReplaceState)
    found = [p.version if isinstance(p, Item) else p.index for p in record.discarded]
    assert found == discarded
    assert state.discarded == len(discarded)
