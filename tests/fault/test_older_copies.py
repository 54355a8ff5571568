"""Directories that are put back to an older copy, and nodes that change their role."""

import re
import subprocess
from pathlib import Path

import pytest

from analysis.nodes.node import REPO_ROOT, Node
from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import Cluster
from tests.support.waiting import containing, wait_for_status
from tests.support.write_record import WriteRecord


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
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2)
    leader, record = cluster.leader, WriteRecord()
    with BackgroundLoad(leader, record) as load:
        load.wait_for_confirmed(50)
        backup = back_up(leader, tmp_path / "backup")
        load.wait_for_confirmed(50)
    cluster.wait_for_replication()
    before = cluster.assert_copies_equal()
    leader.put_back(backup)
    leader.start()
    leader.wait_until_ready()
    assert leader.copy().versions == before.versions, "it is not ready before it holds everything"
    assert leader.status().epoch == before.epoch + 1, "it has taken over"
    record.put_each(leader, "after", 5)
    cluster.assert_nothing_lost(record)


def test_an_old_leader_gives_way_to_the_only_follower_that_holds_more(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(3, durable=True)
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
    cluster.restart(leader, *others)
    leader.wait_until_ready()
    leader.put_confirmed("old copy", "nothing is promised for it")
    holder.start()
    holder.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 10
    assert [node.status().discarded for node in cluster.nodes] == [2, 2, 2, 0]
    for node in (leader, *others):
        [kept] = (node.directory / "discarded").iterdir()
        assert "nothing is promised for it" in kept.read_text()


def test_a_follower_put_back_to_a_backup_goes_on_from_there(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(2, durable=True, WRITE_QUORUM=2)
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    record.put_each(leader, "before", 5)
    backup = back_up(follower, tmp_path / "backup")
    record.put_each(leader, "after", 5)
    cluster.wait_for_replication()
    follower.put_back(backup)
    assert leader.put("key", 1).status_code in (503, 504), "what it held counts no more"
    follower.start()
    cluster.wait_until_streaming(follower)
    record.put_each(leader, "again", 5)
    cluster.assert_nothing_lost(record)
    assert [f.snapshots_sent for f in leader.status().followers] == [0, 0]


def test_back_to_the_backup_on_purpose(start_cluster: StartCluster, tmp_path: Path) -> None:
    cluster = start_cluster(2, durable=True, WRITE_QUORUM=2)
    leader, record = cluster.leader, WriteRecord()
    record.put_each(leader, "before", 5)
    cluster.wait_for_replication()
    backup, store = back_up(leader, tmp_path / "backup"), leader.copy().store
    WriteRecord().put_each(leader, "unwanted", 5)
    assert [node.stop() for node in cluster.nodes] == [0, 0, 0]
    leader.put_back(backup)
    for follower in cluster.followers:
        follower.empty()
    cluster.restart()
    for follower in cluster.followers:
        cluster.wait_for_follower(follower, state="unknown")
    wait_for_status(leader, problem=containing("force_start"))
    assert not leader.is_ready()
    cluster.force_start()
    cluster.wait_until_ready()
    assert cluster.assert_nothing_lost(record).store == store
    leader.restart()
    leader.wait_until_ready()
    record.put_each(leader, "after", 5)
    cluster.assert_nothing_lost(record)


# A leader on a follower's directory


@pytest.fixture
def lone_copy(start_cluster: StartCluster) -> tuple[Cluster, WriteRecord]:
    """A cluster without its leader: the first follower is dead, and its directory alone holds five
    confirmed writes; the second is dead, the third too, and emptied.
    """
    cluster = start_cluster(3, durable=True)
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


def start_as_leader(cluster: Cluster, follower: Node, followers: list[Node]) -> Node:
    """Start one of the followers, which is dead, as the leader of these."""
    follower.role = "leader"
    cluster.set_followers(follower, followers)
    follower.start()
    cluster.followers = followers
    return follower


def test_a_followers_directory_takes_over_with_its_own_state(
    lone_copy: tuple[Cluster, WriteRecord],
) -> None:
    cluster, record = lone_copy
    keeper, *others = cluster.followers
    leader = start_as_leader(cluster, keeper, [*others, cluster.leader])
    cluster.leader.role = "follower"
    cluster.leader.empty()
    wait_for_status(leader, waiting_for=[node.address for node in cluster.followers])
    cluster.restart(*cluster.followers)
    leader.wait_until_ready()
    record.put_each(leader, "after", 5)
    assert len(cluster.assert_nothing_lost(record, leader).store) == 10


def test_a_followers_directory_without_followers_asks_those_that_it_remembers(
    lone_copy: tuple[Cluster, WriteRecord],
) -> None:
    cluster, record = lone_copy
    keeper, *others = cluster.followers
    leader = start_as_leader(cluster, keeper, [])
    wait_for_status(leader, waiting_for=sorted(node.address for node in others))
    cluster.force_start(leader, without=others)
    leader.wait_until_ready()
    assert leader.status().followers == []
    record.put_each(leader, "alone", 5)
    assert len(cluster.assert_nothing_lost(record, leader).store) == 10


@pytest.mark.parametrize("holder", ["up", "down at first"])
def test_a_shortened_list_of_followers_loses_nothing(
    start_cluster: StartCluster, holder: str
) -> None:
    """The only copy is with the one that the new list does not name."""
    cluster = start_cluster(3, durable=True)
    leader, *others, keeper = cluster.nodes
    record = WriteRecord()
    cluster.wait_for_replication()
    for other in others:
        other.crash()
    record.put_each(leader, "key", 5)
    leader.empty()
    if holder == "down at first":
        keeper.crash()
    cluster.set_followers(leader, others)
    cluster.restart(leader, *others)
    if holder == "down at first":
        wait_for_status(leader, waiting_for=[keeper.address])
        assert not leader.is_ready()
        keeper.start()
    cluster.followers = others
    leader.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 5
    assert [f.address for f in leader.status().followers] == [f.address for f in others]
    assert keeper.status().last_index < leader.status().last_index
