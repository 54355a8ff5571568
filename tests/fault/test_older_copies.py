"""Directories that are put back to an older copy, and nodes that change their role."""

import re
import subprocess
from pathlib import Path

from analysis.nodes.node import REPO_ROOT, Node
from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT
from tests.support.waiting import containing, wait_for_status
from tests.support.write_record import WriteRecord


def back_up(node: Node, backup: Path) -> Path:
    """Copy the data of a node, running or not, with the command of docs/OPERATIONS.md.

    :param backup: a new directory for the copy.
    """
    [command] = re.findall(
        r"^python3 -c '.*$", (REPO_ROOT / "docs" / "OPERATIONS.md").read_text("utf-8"), re.MULTILINE
    )
    backup.mkdir()
    copy, data = backup / "kvstore.db", node.directory / "kvstore.db"
    command = command.replace("data/leader/kvstore.db", str(data)).replace("backup.db", str(copy))
    subprocess.run(command, shell=True, check=True)  # noqa: S602 (as it stands there)
    return backup


# Older copies


def test_a_leader_put_back_to_a_backup_loses_nothing(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(3, durable=True, WRITE_QUORUM=2, **PATIENT)
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


def test_a_follower_put_back_to_a_backup_goes_on_from_there(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(2, durable=True, WRITE_QUORUM=2, **PATIENT)
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
    cluster = start_cluster(2, durable=True, WRITE_QUORUM=2, **PATIENT)
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


def test_a_followers_directory_takes_over_with_its_own_state(start_cluster: StartCluster) -> None:
    """It alone holds what was confirmed; the leader's directory is lost."""
    cluster = start_cluster(3, durable=True, **PATIENT)
    former, leader, *others = cluster.nodes
    record = WriteRecord()
    cluster.wait_for_replication()
    for other in others:
        other.crash()
    record.put_each(former, "key", 5)
    leader.crash()
    former.empty()
    leader.role, former.role = "leader", "follower"
    cluster.followers = [*others, former]
    cluster.set_followers(leader, cluster.followers)
    leader.start()
    wait_for_status(leader, waiting_for=[node.address for node in cluster.followers])
    cluster.restart(*cluster.followers)
    leader.wait_until_ready()
    record.put_each(leader, "after", 5)
    assert len(cluster.assert_nothing_lost(record, leader).store) == 10


def test_a_shortened_list_of_followers_loses_nothing(start_cluster: StartCluster) -> None:
    """The only copy is with the one that the new list does not name."""
    cluster = start_cluster(3, durable=True, **PATIENT)
    leader, *others, keeper = cluster.nodes
    record = WriteRecord()
    cluster.wait_for_replication()
    for other in others:
        other.crash()
    record.put_each(leader, "key", 5)
    leader.empty()
    keeper.crash()
    cluster.set_followers(leader, others)
    cluster.restart(leader, *others)
    wait_for_status(leader, waiting_for=[keeper.address])
    assert not leader.is_ready()
    keeper.start()
    cluster.followers = others
    leader.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 5
    assert [f.address for f in leader.status().followers] == [f.address for f in others]
    assert keeper.status().last_index < leader.status().last_index
