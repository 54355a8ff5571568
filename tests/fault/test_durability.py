"""Durable nodes: kill -9 of any of them, or of all, loses nothing that was confirmed."""

from collections.abc import Iterator

import psutil
import pytest

from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT, Cluster
from tests.support.waiting import wait_for_status
from tests.support.write_record import WriteRecord

DISK_BYTES = 100_000


@pytest.fixture(scope="module")
def shared(start_shared_cluster: StartCluster) -> Cluster:
    return start_shared_cluster(3, durable=True, WRITE_QUORUM=2, **PATIENT)


@pytest.fixture
def cluster(shared: Cluster, record: WriteRecord) -> Iterator[Cluster]:
    """All nodes are up, and have lost nothing at the end."""
    record.put_each(shared.leader, "at first", 1)
    shared.wait_for_replication()
    yield shared
    shared.assert_nothing_lost(record)


@pytest.fixture
def record() -> WriteRecord:
    return WriteRecord()


def snapshots_sent(cluster: Cluster) -> list[int]:
    return [follower.snapshots_sent for follower in cluster.leader.status().followers]


@pytest.mark.parametrize("killed", [slice(1), slice(1, 2), slice(None)], ids=str)
def test_killed_nodes_go_on_from_their_disks(
    cluster: Cluster, record: WriteRecord, killed: slice
) -> None:
    """The leader, a follower, and all at once."""
    leader, nodes = cluster.leader, cluster.nodes[killed]
    with BackgroundLoad(leader, record, clients=8) as load:
        load.wait_for_confirmed(100)
        before = leader.status()
        cluster.restart(*nodes)
        cluster.wait_until_ready()
        load.wait_for_confirmed(100)
    after = leader.status()
    assert (after.epoch, after.node) == (before.epoch, before.node)
    assert (after.reign != before.reign) == (leader in nodes)
    assert after.last_index >= before.last_index + 100
    assert snapshots_sent(cluster) == [0, 0, 0], "followers continue from their position"


def test_a_leader_without_its_directory_takes_over_and_wipes_nobody(
    cluster: Cluster, record: WriteRecord
) -> None:
    leader, *others, away = cluster.nodes
    record.put_each(leader, "key", 10)
    cluster.wait_for_replication()
    before = cluster.assert_copies_equal()
    leader.empty()
    away.crash()
    leader.start()
    wait_for_status(leader, waiting_for=[cluster.address(away)], state="looking")
    assert record.put(leader, "refused", 1) == 503
    assert leader.get("key1").status_code == 503
    assert [follower.copy() for follower in others] == [before, before], "looking changes nothing"
    away.start()
    cluster.wait_until_ready()
    assert cluster.assert_nothing_lost(record).versions == before.versions
    assert snapshots_sent(cluster) == [0, 0, 0], "the log was taken over too"


def test_a_failed_disk_write_ends_the_whole_node(cluster: Cluster, record: WriteRecord) -> None:
    follower = cluster.followers[0]
    follower.processes[1].rlimit(psutil.RLIMIT_FSIZE, (DISK_BYTES, DISK_BYTES))
    with BackgroundLoad(cluster.leader, record) as load:
        assert follower.wait_for_exit(20.0) == 3
        load.wait_for_confirmed(20)
    assert "this node ends: its data directory failed: disk I/O error" in follower.log()
    follower.start()
    cluster.wait_until_ready()


def test_a_directory_in_use_is_refused(cluster: Cluster) -> None:
    node = cluster.add_leader("second", DATA_DIR=cluster.leader.directory)
    node.launch()
    assert node.wait_for_exit(20.0) > 0
    assert "in use by another process" in node.log()
