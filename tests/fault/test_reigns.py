"""Leaders come back, are replaced, cloned and forced: one leads in the end, with everything."""

import shutil

import pytest

from analysis.nodes.node import Node
from tests.conftest import StartCluster
from tests.support.answers import left_open
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT, Cluster
from tests.support.waiting import at_least, containing, wait_for_status, wait_until
from tests.support.write_record import WriteRecord

# A leader that was replaced while it was away


@pytest.fixture
def replaced(start_cluster: StartCluster) -> tuple[Cluster, Node]:
    """A cluster whose leader is gone, and the second leader, of whose reign the first knows
    nothing; 20 writes of it are on every follower. All nodes are dead now.
    """
    cluster = start_cluster(2, durable=True, **PATIENT)
    record = WriteRecord()
    record.put_each(cluster.leader, "first", 5)
    cluster.leader.crash()
    second = cluster.add_leader("second")
    second.start()
    second.wait_until_ready()
    record.put_each(second, "second", 20)
    assert len(cluster.assert_nothing_lost(record, second).store) == 25
    for node in (second, *cluster.followers):
        node.crash()
    return cluster, second


def assert_second_goes_on(cluster: Cluster, second: Node, epoch: int) -> None:
    second.wait_until_ready()
    assert second.status().epoch == epoch, "it has kept its reign's epoch"
    record = WriteRecord()
    record.put_each(second, "again", 5)
    assert len(cluster.assert_nothing_lost(record, second).store) == 30


def test_a_replaced_leader_that_meets_an_emptied_follower_first(
    replaced: tuple[Cluster, Node],
) -> None:
    cluster, second = replaced
    first, emptied, other = cluster.leader, *cluster.followers
    for _ in range(2):
        first.restart()
        wait_for_status(first, state="catching up")
    assert first.put("key", 1).status_code == 503
    again = first.put("key", 1, Idempotency_Key="sent-to-the-second-before")
    assert left_open(again).version is None
    emptied.empty()
    emptied.start()

    wait_for_status(first, problem=containing(emptied.address))
    assert first.put("key", "of the first").status_code == 503
    assert emptied.status().reign is None, "it was asked only"
    other.restart()
    wait_for_status(first, state="deposed")
    second.restart()
    assert_second_goes_on(cluster, second, other.status().epoch)
    assert "key" not in second.copy().store


def test_a_replaced_leader_joins_as_a_follower(replaced: tuple[Cluster, Node]) -> None:
    """Its entries that the second had not taken over are kept apart."""
    cluster, second = replaced
    first = cluster.leader
    first.restart()  # alone it begins a reign, whose first entry nobody else gets
    wait_for_status(first, last_index=at_least(7))
    first.crash()
    first.role = "follower"
    first.restart()
    cluster.followers.append(first)
    cluster.set_followers(second, cluster.followers)
    for follower in cluster.followers[:2]:
        follower.restart()
    epoch = cluster.followers[0].status().epoch
    second.restart()
    assert_second_goes_on(cluster, second, epoch)
    assert first.status().discarded == 1
    [kept] = (first.directory / "discarded").iterdir()
    assert '"noop"' in kept.read_text()


def test_a_deposed_leader_takes_over_again_when_it_is_told_to(start_cluster: StartCluster) -> None:
    """Whatever the first confirms up to its last moment, the second has taken over."""
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2, **PATIENT)
    first, second = cluster.leader, cluster.add_leader("second")
    record = WriteRecord()
    with BackgroundLoad(first, record, clients=8) as load:
        load.wait_for_confirmed(100)
        second.start()
        wait_for_status(first, state="deposed")
    second.wait_until_ready()
    cluster.assert_nothing_lost(record, second)
    for leader, before in ((first, second), (second, first)):
        cluster.force_start(leader)
        leader.wait_until_ready()
        wait_for_status(before, state="deposed")
        record.put_each(leader, f"{leader.name} again", 5)
    cluster.assert_nothing_lost(record, second)
    assert [f.snapshots_sent for f in second.status().followers] == [0, 0, 0]
    first.restart()
    wait_for_status(first, state="deposed")


# Several leaders at once


def wait_until_one_leads(*leaders: Node) -> tuple[Node, Node]:
    """Wait until one of two leaders leads and the other is deposed; returns them in this order."""
    by_state: dict[str, Node] = {}

    def why_not() -> str | None:
        by_state.clear()
        by_state.update({leader.status().state: leader for leader in leaders})
        return None if sorted(by_state) == ["deposed", "leading"] else f"they are {set(by_state)}"

    wait_until(why_not)
    return by_state["leading"], by_state["deposed"]


def test_a_cloned_leader(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2, **PATIENT)
    first, clone, record = cluster.leader, cluster.add_leader("clone"), WriteRecord()
    record.put_each(first, "first", 5)
    cluster.wait_for_replication()
    first.crash()
    shutil.copytree(first.directory, clone.directory)
    with BackgroundLoad(first, record) as load:
        first.restart()
        load.wait_for_confirmed(100)
        clone.start()
        winner, loser = wait_until_one_leads(first, clone)
    for answer in (loser.put("key", 1), loser.get("first1")):
        assert answer.status_code == 503
    record.put_each(winner, "winner", 5)
    cluster.assert_nothing_lost(record, winner)
