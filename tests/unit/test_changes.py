"""What has changed at a leader, and so has to be done."""

from kvstore.core.changes import Changes, LeaderWatch
from kvstore.core.leader import Leader
from tests.support.replication import (
    claimed_by_another,
    exchange,
    make_cluster,
    reign,
    save,
    talk,
    write,
)

NOTHING = Changes(reign=False, to_say=False, state=False, problem=False)
TO_SAY = Changes(reign=False, to_say=True, state=False, problem=False)


def watched(leader: Leader) -> LeaderWatch:
    """A watch that has looked already."""
    watch = LeaderWatch(leader)
    watch.look()
    return watch


def test_the_first_look_finds_all_of_it_new() -> None:
    watch = LeaderWatch(make_cluster()[0])
    assert watch.look() == Changes(reign=True, to_say=True, state=True, problem=False)
    assert watch.look() == NOTHING


def test_there_is_something_to_say_when_entries_are_durable() -> None:
    leader, followers = make_cluster()
    watch = watched(leader)
    leader.propose(write(), 0.0)
    assert watch.look() == NOTHING
    save(leader)
    assert watch.look() == TO_SAY
    talk(leader, followers)
    assert watch.look() == NOTHING


def test_a_leader_that_is_deposed_ends_its_reign_with_a_problem() -> None:
    leader, _ = make_cluster()
    watch = watched(leader)
    leader.lost("f0", "gone")
    exchange(leader, "f0", claimed_by_another(leader, reign(9), "n0"))
    assert watch.look() == Changes(reign=True, to_say=True, state=True, problem=True)
