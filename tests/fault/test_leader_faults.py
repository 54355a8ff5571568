"""The leader is killed, frozen and replaced: nothing confirmed is lost, and one leads at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.nodes.node import Node
from kvstore.api_types import NotLeader
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support.answers import left_open, refused
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT
from tests.support.waiting import at_least, wait_for_status
from tests.support.write_record import WriteRecord

FORCED_EPOCH_JUMP = 1_000


@pytest.mark.parametrize("write_quorum", [1, 2])
def test_leader_killed_under_load_and_started_again(
    start_cluster: StartCluster, write_quorum: int
) -> None:
    cluster = start_cluster(3, WRITE_QUORUM=write_quorum, **PATIENT)
    record = WriteRecord()
    for _ in range(2):
        epoch = cluster.leader.status().epoch
        with BackgroundLoad(cluster.leader, record, clients=8) as load:
            load.wait_for_confirmed(200)
            cluster.leader.crash()
        cluster.leader.start()
        cluster.wait_until_ready()
        cluster.assert_nothing_lost(record)
        assert cluster.leader.status().epoch > epoch


def test_second_leader_takes_over_while_the_first_is_frozen(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, proxied=True, WRITE_QUORUM=2, **PATIENT)
    first, second, record = cluster.leader, cluster.add_leader("second"), WriteRecord()
    record.put_each(first, "first", 50)
    cluster.wait_for_replication()
    with ThreadPoolExecutor(1) as pool:
        # The first leader freezes with a write on its way, which arrives after the claims.
        for follower in cluster.followers:
            cluster.link(follower).stall()
        pending = pool.submit(first.put, "pending", "of the first")
        wait_for_status(first, last_index=at_least(52))
        first.freeze()
        second.start()
        second.wait_until_ready()
        record.put_each(second, "second", 50)
        first.thaw()
        cluster.heal(*cluster.followers)
        answer = pending.result()
    assert left_open(answer).version == 52
    assert_deposed(first, second)
    assert max(each.last_index for each in first.exchanges()) == 51, "refused is not acknowledged"
    assert decode(cluster.followers[0].put("key", 1), NotLeader).leader == second.url
    copy = cluster.assert_nothing_lost(record, second)
    assert "pending" not in copy.store
    assert min(v for key, v in copy.versions.items() if key.startswith("second")) == 53


def assert_deposed(first: Node, second: Node) -> None:
    """The first stays up, says by whom it was deposed, and confirms nothing."""
    wait_for_status(first, state="deposed")
    assert first.request("GET", "/livez").status_code == 200
    assert not first.is_ready()
    assert str(second.status().epoch) in str(first.status().problem)
    for answer in (first.put("key", 1), first.delete("key")):
        assert refused(answer).replicas_confirmed == 0
    assert first.get("first1").status_code == 503
    assert first.request("GET", "/admin/store").status_code == 503
    assert second.status().state == "leading"


def test_force_start_goes_on_without_a_missing_follower(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, WRITE_QUORUM=2, **PATIENT)
    leader, missing, record = cluster.leader, cluster.followers[2], WriteRecord()
    record.put_each(leader, "key", 20)
    cluster.wait_for_replication()
    epoch = leader.status().epoch
    missing.crash()
    leader.restart()
    wait_for_status(leader, waiting_for=[missing.address])
    assert "lost" in cluster.force_start(without=[missing])
    assert "force_start" in leader.log_tail()
    leader.wait_until_ready()
    assert leader.status().epoch >= epoch + FORCED_EPOCH_JUMP
    assert record.put(leader, "forced", 1) == 200
    missing.start()
    missing.wait_until_ready()
    cluster.assert_nothing_lost(record)
