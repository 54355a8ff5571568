"""Which reign is later, where two logs part, and which of them holds more."""

from itertools import takewhile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.core.entries import START, Position, ReignId
from kvstore.core.lineage import Lineage, ReignStart, holds_more
from tests.support.replication import R1, R2, at, reign

# Reigns


@pytest.mark.parametrize(
    ("one", "other", "later", "twins"),
    [
        (R1, None, True, False),
        (R2, R1, True, False),
        (R2, reign(1, 99), True, False),
        (reign(1, 5), R1, True, False),
        (reign(1, 6), reign(1, 5), True, False),
        (R1, R1, False, False),
        (R1, R2, False, False),
        (R1, reign(1, takeover="t"), False, True),
        (reign(1, 5), reign(1, takeover="t"), False, True),
        (reign(1, 5), ReignId(1, 5, "clone", "r1"), False, True),
    ],
)
def test_later_is_the_epoch_then_the_restart_of_one_takeover(
    one: ReignId, other: ReignId | None, later: bool, twins: bool
) -> None:
    assert (one.is_later_than(other), one.is_twin_of(other)) == (later, twins)


# Lineages


def lineage(*starts: tuple[ReignId, int]) -> Lineage:
    return Lineage(ReignStart(of, first_index) for of, first_index in starts)


def test_lineage_knows_who_appended_what() -> None:
    known = lineage((R1, 1)).extended(R2, 4)
    assert known == lineage((R1, 1), (R2, 4))
    assert [known.reign_at(index) for index in (0, 1, 3, 4)] == [None, R1, R1, R2]
    assert [known.position_at(index) for index in (0, 3, 4)] == [START, at(3), at(4, R2)]
    assert known.up_to(3) == lineage((R1, 1))


def test_reigns_of_earlier_epochs_are_forgotten_in_the_end() -> None:
    known = lineage((R1, 1), (reign(1, 5), 3)).extended(reign(1, 6), 4, max_earlier=2)
    assert known.reign_at(1) == R1, "those of one epoch are needed to compare its histories"
    known = known.extended(R2, 5, max_earlier=2)
    assert [known.position_at(index) for index in (0, 2, 3)] == [START, None, at(3, reign(1, 5))]


def logs(first: int) -> "st.SearchStrategy[list[ReignId]]":
    """Whose every entry of a log's part is."""
    lengths = st.lists(st.integers(1, 3), max_size=3)
    return lengths.map(
        lambda each: [reign(first + n) for n, length in enumerate(each) for _ in range(length)]
    )


def lineage_of(log: list[ReignId]) -> Lineage:
    first = [index for index, of in enumerate(log, 1) if index == 1 or log[index - 2] != of]
    return lineage(*((log[index - 1], index) for index in first))


@settings(deadline=None)
@given(logs(1), logs(10), logs(20), st.integers(0, 3))
def test_common_index_is_where_two_logs_part(
    shared: list[ReignId], one: list[ReignId], other: list[ReignId], more: int
) -> None:
    one, other = shared + one, shared + shared[-1:] * more + other
    same = list(takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
    common = lineage_of(one).common_index(len(one), lineage_of(other), len(other))
    assert common == len(same)
    assert common == lineage_of(other).common_index(len(other), lineage_of(one), len(one))


# Which state holds more

EARLY, LATE = reign(1, 5), reign(1, 6)
State = tuple[Position, Lineage]


def state(last: int, *starts: tuple[ReignId, int]) -> State:
    return (at(last, starts[-1][0]) if starts else START), lineage(*starts)


EMPTY = state(0)
SHORT, LONG = state(3, (R1, 1)), state(7, (R1, 1))
NEXT_EPOCH = state(4, (R1, 1), (R2, 4))
TWIN = state(9, (reign(1, takeover="t"), 1))
LATE_TWIN = state(9, (reign(1, 5, "t"), 1))
UNSENT = state(9, (R1, 1), (LATE, 5))


@pytest.mark.parametrize(
    ("one", "other", "more", "less"),
    [
        pytest.param(SHORT, EMPTY, True, False, id="something"),
        pytest.param(LONG, SHORT, True, False, id="the longer one"),
        pytest.param(LONG, LONG, True, True, id="the same"),
        pytest.param(NEXT_EPOCH, LONG, True, False, id="the higher epoch, though shorter"),
        pytest.param(state(8, (R1, 1), (EARLY, 8)), LONG, True, False, id="longer by a restart"),
        pytest.param(LONG, UNSENT, True, False, id="the lower restart at the fork: the first"),
        pytest.param(
            state(6, (R1, 1), (EARLY, 5)), UNSENT, True, False, id="the lower restart at the fork"
        ),
        pytest.param(LONG, TWIN, False, False, id="two takeovers"),
        pytest.param(LONG, LATE_TWIN, False, False, id="two takeovers, whatever the restarts"),
    ],
)
def test_which_state_holds_more(one: State, other: State, more: bool, less: bool) -> None:
    assert (holds_more(one, other), holds_more(other, one)) == (more, less)
