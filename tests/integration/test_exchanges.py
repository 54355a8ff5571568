"""The leader's record of which entries went to whom, and when."""

import pytest

from analysis.nodes.waiting import wait_until
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A leader and two followers; the delay is 20 to 30 ms, W=2."""
    return start_shared_cluster(2, WRITE_QUORUM=2, MIN_DELAY=20, MAX_DELAY=30, **PATIENT)


def test_each_entry_goes_to_each_follower_once_after_its_delay(cluster: Cluster) -> None:
    leader = cluster.leader
    before = leader.exchanges()[-1].number
    versions = [leader.put_confirmed("key", number) for number in range(3)]
    exchanges = leader.exchanges(after=before)
    sent = [(each.follower, each.first_index, each.last_index) for each in exchanges]
    addresses = {node.address for node in cluster.followers}
    assert sorted(sent) == sorted((a, v, v) for a in addresses for v in versions)
    assert [each.number for each in exchanges] == list(range(before + 1, before + 7))
    for each in exchanges:
        assert 20 <= each.drawn_ms <= 30
        assert 1000 * (each.sent_s - each.formed_s) == pytest.approx(each.drawn_ms, abs=10)
        assert each.sent_s < each.acknowledged_s


def test_one_exchange_carries_all_entries_that_waited(cluster: Cluster) -> None:
    leader = cluster.leader
    before = leader.exchanges()[-1].number
    operations = [{"operation": "put", "key": f"key-{n}", "value": n} for n in range(5)]
    assert leader.batch(operations).status_code == 200
    exchanges = leader.exchanges(after=before)
    assert [each.last_index - each.first_index for each in exchanges] == [4, 4]


def test_one_follower_alone_can_be_slowed_down(cluster: Cluster) -> None:
    leader, (slow, other) = cluster.leader, cluster.followers
    try:
        leader.set_delay(100, 100, slow.address)
        before = leader.exchanges()[-1].number
        leader.put_confirmed("key", 1)
        drawn = {each.follower: each.drawn_ms for each in leader.exchanges(after=before)}
        assert drawn[slow.address] == 100
        assert drawn[other.address] <= 30
    finally:
        leader.set_delay(20, 30)  # for all of them again
    before = leader.exchanges()[-1].number
    leader.put_confirmed("key", 2)
    drawn = {each.follower: each.drawn_ms for each in leader.exchanges(after=before)}
    assert drawn.keys() == {slow.address, other.address}
    assert max(drawn.values()) <= 30


def test_heartbeats_are_no_exchanges(cluster: Cluster) -> None:
    leader = cluster.leader
    cluster.wait_for_replication()
    before = leader.exchanges()[-1].number

    def delayed() -> list[int]:
        return [follower.delay.count for follower in leader.status().followers]

    first, second = delayed()

    def why_not() -> str | None:
        now = delayed()
        return None if now[0] > first and now[1] > second else f"{now} requests so far"

    wait_until(why_not)
    assert leader.exchanges(after=before) == []


def test_a_follower_has_no_exchanges(cluster: Cluster) -> None:
    assert cluster.followers[0].request("GET", "/admin/exchanges").status_code == 403
