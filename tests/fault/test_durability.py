"""Durable nodes: kill -9 of any of them, or of all, loses nothing that was confirmed."""

import sqlite3
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

DISK_BYTES = 100_000
QUORUM_2 = {"WRITE_QUORUM": "2"}


@pytest.fixture
def cluster(start_cluster: StartCluster, tmp_path: Path) -> ClusterHarness:
    return start_cluster(3, settings=PATIENT, leader_settings=QUORUM_2, data_root=tmp_path / "data")


def snapshots_sent(leader: Node) -> list[int]:
    return [follower["snapshots_sent"] for follower in leader.status()["followers"]]


def wait_until_not_empty(cluster: ClusterHarness) -> None:
    """Wait until every follower holds something: two are enough to confirm a write."""
    for follower in cluster.followers:
        follower.wait_for_last_index(1)


def test_a_killed_leader_goes_on_from_its_disk(cluster: ClusterHarness) -> None:
    leader, record = cluster.leader, WriteRecord()
    with BackgroundLoad(leader, record) as load:
        load.wait_for_confirmed(100)
        wait_until_not_empty(cluster)
        before = leader.status()
        leader.crash()
        leader.restart()
        leader.wait_until_ready()
        load.wait_for_confirmed(100)
    after = leader.status()
    assert after["epoch"] == before["epoch"]
    assert after["reign"] != before["reign"]
    assert after["node"] == before["node"]
    assert after["last_index"] >= before["last_index"] + 100
    assert snapshots_sent(leader) == [0, 0, 0], "followers continue from their position"
    cluster.assert_nothing_lost(record)


def test_a_killed_follower_goes_on_from_its_disk(cluster: ClusterHarness) -> None:
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    with BackgroundLoad(leader, record) as load:
        load.wait_for_confirmed(100)
        wait_until_not_empty(cluster)
        follower.crash()
        load.wait_for_confirmed(100)
        held = follower_index(follower)
        follower.restart()
        follower.wait_until_ready()
        load.wait_for_confirmed(50)
    assert held > 0
    assert snapshots_sent(leader) == [0, 0, 0]
    cluster.assert_nothing_lost(record)


def follower_index(follower: Node) -> int:
    with closing(sqlite3.connect(follower.directory / "kvstore.db")) as connection:
        (index,) = connection.execute("SELECT max(position) FROM log").fetchone()
    return int(index)


def test_all_nodes_killed_at_once_come_back_with_everything(cluster: ClusterHarness) -> None:
    record = WriteRecord()
    with BackgroundLoad(cluster.leader, record, clients=8) as load:
        for _ in range(2):
            load.wait_for_confirmed(100)
            wait_until_not_empty(cluster)
            for node in cluster.nodes:
                node.crash()
            for node in cluster.nodes:
                node.restart()
            cluster.wait_until_ready()
        load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)
    assert snapshots_sent(cluster.leader) == [0, 0, 0]


def test_a_leader_without_its_directory_takes_over_and_wipes_nobody(
    cluster: ClusterHarness,
) -> None:
    leader, record = cluster.leader, WriteRecord()
    for number in range(50):
        record.put(leader, f"key-{number % 10}", number)
    cluster.wait_for_replication()
    before = cluster.assert_copies_equal()
    leader.empty()
    away = cluster.followers[2]
    away.crash()
    leader.restart()
    leader.wait_until_waiting_for([cluster.address(away)])
    assert leader.status()["state"] == "looking"
    assert record.put(leader, "refused", 1) == 503
    assert leader.get("key-1").status_code == 503
    for follower in cluster.followers[:2]:
        assert follower.store() == before, "looking changes nothing"
    away.restart()
    cluster.wait_until_ready()
    assert cluster.assert_nothing_lost(record).versions == before.versions
    record.put(leader, "key-1", "after")
    cluster.assert_nothing_lost(record)
    assert snapshots_sent(leader) == [0, 0, 0], "the log was taken over too"


def test_a_follower_without_its_directory_gets_a_snapshot_while_writes_go_on(
    cluster: ClusterHarness,
) -> None:
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    with BackgroundLoad(leader, record) as load:
        load.wait_for_confirmed(100)
        follower.empty()
        load.wait_for_confirmed(50)
        follower.restart()
        follower.wait_until_ready()
        load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)
    assert snapshots_sent(leader) == [1, 0, 0]
    follower.crash()
    follower.restart()
    cluster.assert_nothing_lost(record)


def test_a_deposed_leader_stays_deposed_and_is_refused_after_restarts(
    cluster: ClusterHarness,
) -> None:
    first, record = cluster.leader, WriteRecord()
    record.put(first, "key", "before")
    cluster.wait_for_replication()
    first.freeze()
    second = cluster.add_leader("second")
    second.start()
    second.wait_until_ready()
    record.put(second, "key", "of the second")
    for follower in cluster.followers:
        follower.crash()
        follower.restart()
    first.thaw()
    first.wait_for_state("deposed")
    for _ in range(2):
        epoch = second.status()["epoch"]
        assert f"epoch {epoch}" in first.status()["problem"]
        assert not first.is_ready()
        assert first.put("key", "of the first").status_code == 503
        assert first.get("key").status_code == 503
        first.crash()
        first.restart()
        first.wait_for_state("deposed")
    second.wait_until_ready()
    assert cluster.assert_nothing_lost(record, second).store["key"] == "of the second"
    assert second.status()["epoch"] == epoch


def test_a_leader_with_the_directory_of_another_cluster_is_not_ready(
    cluster: ClusterHarness, start_cluster: StartCluster, tmp_path: Path
) -> None:
    other = start_cluster(1, data_root=tmp_path / "other")
    record, others = WriteRecord(), WriteRecord()
    record.put(cluster.leader, "key", "ours")
    others.put(other.leader, "key", "theirs")
    cluster.leader.crash()
    other.leader.crash()
    other.leader.process.settings["FOLLOWERS"] = cluster.leader.process.settings["FOLLOWERS"]
    other.leader.restart()

    def why_not() -> str | None:
        problem = other.leader.status()["problem"]
        return None if problem and "another cluster" in problem else f"problem is {problem}"

    wait_until(why_not)
    assert not other.leader.is_ready()
    assert other.leader.put("key", "theirs again").status_code == 503
    other.leader.crash()
    cluster.leader.restart()
    cluster.wait_until_ready()
    assert cluster.assert_nothing_lost(record).store["key"] == "ours"


def test_a_second_process_on_one_directory_is_refused(cluster: ClusterHarness) -> None:
    settings = {"DATA_DIR": cluster.leader.process.settings["DATA_DIR"]}
    assert "in use by another process" in failed_start(cluster, settings)
    cluster.leader.put_confirmed("key", "still serves")


def test_a_directory_of_a_newer_format_is_refused(cluster: ClusterHarness, tmp_path: Path) -> None:
    newer = tmp_path / "newer"
    newer.mkdir()
    with closing(sqlite3.connect(newer / "kvstore.db")) as connection:
        connection.execute("PRAGMA user_version=1000")
    assert "a newer version wrote it" in failed_start(cluster, {"DATA_DIR": str(newer)})


def failed_start(cluster: ClusterHarness, settings: dict[str, str]) -> str:
    """Start one more node that must end by itself with an error.

    :return: its log.
    """
    process = cluster.add_leader("failing", settings).process
    process.start()
    assert process.wait_for_exit(20.0) not in (0, None)
    log = process.log_path.read_text("utf-8")
    assert "Traceback" not in log
    return log


def test_a_failed_disk_write_ends_the_whole_node(cluster: ClusterHarness) -> None:
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    record.put(leader, "key", "before")
    _, worker = follower.processes
    worker.rlimit(psutil.RLIMIT_FSIZE, (DISK_BYTES, DISK_BYTES))
    with BackgroundLoad(leader, record) as load:
        assert follower.process.wait_for_exit(20.0) == 3
        load.wait_for_confirmed(20)
    log = follower.process.log_path.read_text("utf-8")
    assert "this node ends: its data directory failed: disk I/O error" in log
    follower.restart()
    cluster.wait_until_ready()
    cluster.assert_nothing_lost(record)
