"""Leaders come back, are replaced, cloned and forced: one leads in the end, with everything."""

import shutil
from contextlib import ExitStack

import pytest

from analysis.nodes.node import Node
from tests.conftest import StartCluster
from tests.fault.leaders import wait_until_one_leads
from tests.support.answers import confirmed, left_open
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import Cluster
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import at_least, containing, wait_for_status, wait_until
from tests.support.write_record import WriteRecord

# A leader that was replaced while it was away


@pytest.fixture
def replaced(start_cluster: StartCluster) -> tuple[Cluster, Node]:
    """A cluster whose leader is gone, and the second leader, of whose reign the first knows
    nothing; 20 writes of it are on every follower. All nodes are dead now.
    """
    cluster = start_cluster(2, durable=True)
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


@pytest.mark.parametrize("starts", [1, 2])
def test_a_replaced_leader_that_meets_an_emptied_follower_first(
    replaced: tuple[Cluster, Node], starts: int
) -> None:
    cluster, second = replaced
    first, emptied, other = cluster.leader, *cluster.followers
    for _ in range(starts):
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
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2)
    first, second = cluster.leader, cluster.add_leader("second")
    record = WriteRecord()
    record.put_each(first, "first", 5)
    second.start()
    wait_for_status(first, state="deposed")
    second.wait_until_ready()
    record.put_each(second, "second", 5)
    for leader, before in ((first, second), (second, first)):
        cluster.force_start(leader)
        leader.wait_until_ready()
        wait_for_status(before, state="deposed")
        record.put_each(leader, f"{leader.name} again", 5)
    assert len(cluster.assert_nothing_lost(record, second).store) == 20
    assert [f.snapshots_sent for f in second.status().followers] == [0, 0, 0]
    first.restart()
    wait_for_status(first, state="deposed")


# Several leaders at once


def test_two_first_starts_do_not_make_two_clusters(start_cluster: StartCluster) -> None:
    """Each has claimed one follower, and is refused by the other."""
    cluster = start_cluster(2, durable=True, proxied=True)
    one, other, followers = cluster.leader, cluster.add_leader("other"), cluster.followers
    one.empty()
    for follower in followers:
        follower.empty()
        follower.start()
    with ExitStack() as stack:
        links = [stack.enter_context(TcpProxy(f.address)) for f in followers]
        other.settings["FOLLOWERS"] = ",".join(link.address for link in links)
        claims = {one: [cluster.link(f) for f in followers], other: links}
        for leader, of_leader in claims.items():
            for link in of_leader:
                link.hold("/replicate/claim")
            leader.start()
            wait_for_status(leader, state="claiming")
        claims[one][0].heal()
        claims[other][1].heal()

        def why_not_claimed() -> str | None:
            leaders = [follower.status().leader for follower in followers]
            return None if leaders == [one.url, other.url] else f"they follow {leaders}"

        wait_until(why_not_claimed)
        assert len({follower.status().cluster for follower in followers}) == 2
        claims[one][1].heal()
        claims[other][0].heal()

        def why_not_decided() -> str | None:
            states = [leader.status().state for leader in (one, other)]
            return None if "deposed" in states and "claiming" not in states else f"{states}"

        wait_until(why_not_decided)
        if one.status().state == "deposed":
            cluster.force_start(one)
            wait_for_status(other, state="deposed")
        one.wait_until_ready()
        record = WriteRecord()
        record.put_each(one, "key", 5)
        cluster.assert_nothing_lost(record)
        assert len({node.status().cluster for node in cluster.nodes}) == 1


@pytest.mark.parametrize("original", ["runs on", "starts again, too"])
def test_a_cloned_leader(start_cluster: StartCluster, original: str) -> None:
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2)
    first, clone, record = cluster.leader, cluster.add_leader("clone"), WriteRecord()
    record.put_each(first, "first", 5)
    cluster.wait_for_replication()
    first.crash()
    shutil.copytree(first.directory, clone.directory)
    with BackgroundLoad(first, record) as load:
        if original == "runs on":
            first.restart()
            load.wait_for_confirmed(100)
            clone.start()
        else:
            clone.launch()
            first.restart()
        winner, loser = wait_until_one_leads(first, clone)
    for answer in (loser.put("key", 1), loser.get("first1")):
        assert answer.status_code == 503
    record.put_each(winner, "winner", 5)
    cluster.assert_nothing_lost(record, winner)


# Takeovers


def test_a_takeover_whose_follower_restarts_while_it_hands_out_its_state(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(1, durable=True, proxied=True)
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    link = cluster.link(follower)
    with BackgroundLoad(leader, record, clients=8, keys=1_000_000, deletes=False) as load:
        load.wait_for_confirmed(2_500)
    leader.empty()
    link.delay(0.3)  # so that the first part is still on its way when the next is held back
    leader.restart()
    wait_until(lambda: None if link.requests("/replicate/fetch") else "nothing was asked for")
    link.hold("/replicate/fetch")
    follower.restart()
    assert leader.status().state != "leading"
    cluster.heal(follower)
    leader.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) >= 2_500


def test_a_retry_during_a_takeover_is_not_told_that_nothing_happened(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, durable=True)
    leader, missing, key = cluster.leader, cluster.followers[1], {"Idempotency_Key": "one"}
    version = confirmed(leader.put("key", 1, **key)).version
    cluster.wait_for_replication()
    missing.crash()
    leader.empty()
    leader.start()
    wait_for_status(leader, waiting_for=[missing.address])
    assert leader.put("key", 1).status_code == 503
    assert leader.put("key", 2).status_code == 503
    for answer in (leader.put("key", 1, **key), leader.put("key", 2, **key)):
        assert left_open(answer).version is None
    missing.restart()

    def why_not_confirmed() -> str | None:
        answer = leader.put("key", 1, **key)
        assert answer.status_code in (200, 504), answer.text
        return None if answer.status_code == 200 else answer.text

    wait_until(why_not_confirmed)
    assert confirmed(leader.put("key", 1, **key)).version == version
    assert leader.put("key", 2, **key).status_code == 422
    cluster.wait_for_replication()
    assert cluster.assert_copies_equal().versions == {"key": version}
