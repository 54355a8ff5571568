"""Directories that are put back to an older copy, and nodes that change their role."""

import re
import subprocess
from pathlib import Path

import pytest

from analysis.nodes.local_node import REPO_ROOT
from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.harness import ClusterHarness, Node
from tests.support.write_record import WriteRecord

QUORUM_2 = {"WRITE_QUORUM": "2"}


def back_up(node: Node, backup: Path) -> Path:
    """Copy the data of a node, running or not, with the README's own command.

    :param backup: a new directory for the copy.
    """
    [command] = re.findall(r"^python3 -c '.*$", (REPO_ROOT / "README.md").read_text(), re.MULTILINE)
    backup.mkdir()
    copy, data = backup / "kvstore.db", node.directory / "kvstore.db"
    command = command.replace("data/leader/kvstore.db", str(data)).replace("backup.db", str(copy))
    subprocess.run(command, shell=True, check=True)  # noqa: S602 (as it stands there)
    return backup


# Older copies


def test_a_leader_put_back_to_a_backup_loses_nothing(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(3, leader_settings=QUORUM_2, data_root=tmp_path / "data")
    leader, record = cluster.leader, WriteRecord()
    with BackgroundLoad(leader, record) as load:
        load.wait_for_confirmed(50)
        backup = back_up(leader, tmp_path / "backup")
        load.wait_for_confirmed(50)
    cluster.wait_for_replication()
    before = cluster.assert_copies_equal()
    leader.put_back(backup)
    epoch = cluster.followers[0].status()["epoch"]
    leader.restart()
    leader.wait_until_ready()
    assert leader.store().versions == before.versions, "it is not ready before it holds everything"
    assert leader.status()["epoch"] == epoch + 1, "it has taken over"
    record.put_each(leader, "after", 5)
    cluster.assert_nothing_lost(record)


def test_an_old_leader_gives_way_to_the_only_follower_that_holds_more(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(3, data_root=tmp_path / "data")
    leader, *others, holder = cluster.nodes
    record = WriteRecord()
    record.put_each(leader, "both", 5)
    cluster.wait_for_replication()
    backup = back_up(leader, tmp_path / "backup")
    for other in others:
        other.crash()
    record.put_each(leader, "holder", 5)
    holder.crash()
    leader.put_back(backup)
    for node in (leader, *others):
        node.restart()
    leader.wait_until_ready()
    leader.put_confirmed("old copy", "nothing is promised for it")
    holder.restart()
    holder.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 10
    assert [node.status()["discarded"] for node in cluster.nodes] == [2, 2, 2, 0]
    for node in (leader, *others):
        [kept] = (node.directory / "discarded").iterdir()
        assert "nothing is promised for it" in kept.read_text()


def test_a_follower_put_back_to_a_backup_goes_on_from_there(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(2, leader_settings=QUORUM_2, data_root=tmp_path / "data")
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    record.put_each(leader, "before", 5)
    backup = back_up(follower, tmp_path / "backup")
    record.put_each(leader, "after", 5)
    cluster.wait_for_replication()
    follower.put_back(backup)
    assert leader.put("key", 1).status_code in (503, 504), "what it held counts no more"
    follower.restart()
    leader.wait_for_follower(cluster.address(follower), "streaming")
    record.put_each(leader, "again", 5)
    cluster.assert_nothing_lost(record)
    assert [f["snapshots_sent"] for f in leader.status()["followers"]] == [0, 0]


def test_back_to_the_backup_on_purpose(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(2, leader_settings=QUORUM_2, data_root=tmp_path / "data")
    leader, record = cluster.leader, WriteRecord()
    record.put_each(leader, "before", 5)
    cluster.wait_for_replication()
    backup, store = back_up(leader, tmp_path / "backup"), leader.store().store
    WriteRecord().put_each(leader, "unwanted", 5)
    for node in cluster.nodes:
        assert node.process.stop() == 0
    leader.put_back(backup)
    for follower in cluster.followers:
        follower.empty()
        follower.restart()
    leader.restart()
    for follower in cluster.followers:
        leader.wait_for_follower(cluster.address(follower), "unknown")
    leader.wait_for_problem("force_start")
    assert not leader.is_ready()
    leader.force_start()
    cluster.wait_until_ready()
    assert cluster.assert_nothing_lost(record).store == store
    leader.crash()
    leader.restart()
    leader.wait_until_ready()
    record.put_each(leader, "after", 5)
    cluster.assert_nothing_lost(record)


# A leader on a follower's directory


@pytest.fixture
def lone_copy(start_cluster: StartCluster, tmp_path: Path) -> tuple[ClusterHarness, WriteRecord]:
    """A cluster without its leader: the first follower is dead, and its directory alone holds five
    confirmed writes; the second is dead, the third too, and emptied.
    """
    cluster = start_cluster(3, data_root=tmp_path / "data")
    record = WriteRecord()
    keeper, *others = cluster.followers
    cluster.wait_for_replication()
    for other in others:
        other.crash()
    record.put_each(cluster.leader, "key", 5)
    for node in (cluster.leader, keeper):
        node.crash()
    others[1].empty()
    return cluster, record


def start_as_leader(cluster: ClusterHarness, follower: Node, followers: list[Node]) -> Node:
    """Start one of the followers, which is dead, as the leader of these."""
    follower.process.role = "leader"
    follower.process.settings["FOLLOWERS"] = ",".join(node.process.address for node in followers)
    follower.restart()
    cluster.followers = followers
    return follower


def test_a_followers_directory_takes_over_with_its_own_state(
    lone_copy: tuple[ClusterHarness, WriteRecord],
) -> None:
    cluster, record = lone_copy
    keeper, *others = cluster.followers
    leader = start_as_leader(cluster, keeper, [*others, cluster.leader])
    cluster.leader.process.role = "follower"
    cluster.leader.empty()
    leader.wait_until_waiting_for([node.process.address for node in cluster.followers])
    for node in cluster.followers:
        node.restart()
    leader.wait_until_ready()
    record.put_each(leader, "after", 5)
    assert len(cluster.assert_nothing_lost(record, leader).store) == 10


def test_a_followers_directory_without_followers_asks_those_that_it_remembers(
    lone_copy: tuple[ClusterHarness, WriteRecord],
) -> None:
    cluster, record = lone_copy
    keeper, *others = cluster.followers
    remembered = sorted(node.process.address for node in others)
    leader = start_as_leader(cluster, keeper, [])
    leader.wait_until_waiting_for(remembered)
    leader.force_start(remembered)
    leader.wait_until_ready()
    assert leader.status()["followers"] == []
    record.put_each(leader, "alone", 5)
    assert len(cluster.assert_nothing_lost(record, leader).store) == 10


@pytest.mark.parametrize("holder", ["up", "down at first"])
def test_a_shortened_list_of_followers_loses_nothing(
    start_cluster: StartCluster, tmp_path: Path, holder: str
) -> None:
    """The only copy is with the one that the new list does not name."""
    cluster = start_cluster(3, data_root=tmp_path / "data")
    *others, keeper = cluster.followers
    leader, record = cluster.leader, WriteRecord()
    cluster.wait_for_replication()
    for other in others:
        other.crash()
    record.put_each(leader, "key", 5)
    leader.empty()
    for other in others:
        other.restart()
    if holder == "down at first":
        keeper.crash()
    cluster.followers = others
    leader.process.settings["FOLLOWERS"] = ",".join(node.process.address for node in others)
    leader.restart()
    if holder == "down at first":
        leader.wait_until_waiting_for([keeper.process.address])
        assert not leader.is_ready()
        keeper.restart()
    leader.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 5
    assert [f["address"] for f in leader.status()["followers"]] == [
        node.process.address for node in others
    ]
    assert keeper.status()["last_index"] < leader.status()["last_index"]
