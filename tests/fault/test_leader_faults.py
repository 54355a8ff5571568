"""The leader is killed, frozen and replaced: nothing confirmed is lost, and one leads at a time."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from analysis.nodes.copies import Copy
from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

FORCED_EPOCH_JUMP = 1_000


def assert_not_poorer(before: list[Copy], followers: list[Node]) -> None:
    """No follower has lost a key, or holds an older version of one."""
    for old, follower in zip(before, followers, strict=True):
        new = follower.store()
        older = {
            key: (version, new.versions.get(key))
            for key, version in old.versions.items()
            if new.versions.get(key, 0) < version
        }
        assert older == {}, f"{follower.name} has become poorer"


@pytest.mark.parametrize("quorum", ["1", "2"])
def test_leader_killed_under_load_and_started_again(
    start_cluster: StartCluster, quorum: str
) -> None:
    cluster = start_cluster(3, leader_settings={"WRITE_QUORUM": quorum})
    record = WriteRecord()
    for _ in range(2):
        epoch = cluster.leader.status()["epoch"]
        with BackgroundLoad(cluster.leader, record, clients=8, deletes=False) as load:
            load.wait_for_confirmed(200)
            cluster.leader.crash()
        copies = [follower.store() for follower in cluster.followers]
        confirmed = list(record.confirmed)
        cluster.leader.restart()
        cluster.wait_until_ready()
        cluster.wait_for_replication()
        assert_not_poorer(copies, cluster.followers)
        assert record.confirmed == confirmed
        cluster.assert_nothing_lost(record)
        assert cluster.leader.status()["epoch"] > epoch


def test_clients_that_do_not_stop_while_the_leader_restarts(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, leader_settings={"WRITE_QUORUM": "2"})
    record = WriteRecord()
    with BackgroundLoad(cluster.leader, record) as load:
        for _ in range(2):
            load.wait_for_confirmed(50)
            cluster.leader.crash()
            cluster.leader.restart()
            load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)


def test_write_that_only_one_follower_holds_survives_the_leader(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(3, proxied=True)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", "old") == 200
    cluster.wait_for_replication()
    for follower in cluster.followers[:2]:
        cluster.partition(follower)
    for number in range(20):
        assert record.put(cluster.leader, f"key{number}", number) == 200
    assert record.delete(cluster.leader, "key") == 200
    cluster.leader.crash()
    for follower in cluster.followers[:2]:
        cluster.heal(follower)
        assert follower.status()["last_index"] == 2
    cluster.leader.restart()
    cluster.leader.wait_until_ready()
    copy = cluster.assert_nothing_lost(record)
    assert copy.store == {f"key{number}": number for number in range(20)}


def test_indexes_go_on_after_a_restart(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    version = cluster.leader.put_confirmed("key", 2)
    cluster.leader.crash()
    cluster.leader.restart()
    cluster.leader.wait_until_ready()
    assert cluster.leader.get("key").json() == {"found": True, "value": 2, "version": version}
    # In between is the new reign's first entry.
    assert cluster.leader.put_confirmed("key", 3) == version + 2
    cluster.assert_nothing_lost(record)


def test_leader_without_state_waits_for_every_follower(start_cluster: StartCluster) -> None:
    """A write confirmed at W=1 may be on any single follower."""
    cluster = start_cluster(3)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    cluster.wait_for_replication()
    missing = cluster.followers[2]
    missing.freeze()
    cluster.leader.crash()
    epochs = [follower.status()["epoch"] for follower in cluster.followers[:2]]
    cluster.leader.restart()
    cluster.leader.wait_until_waiting_for([cluster.address(missing)])
    refused = cluster.leader.put("key", 2)
    assert (refused.status_code, refused.json()["reason"]) == (503, "not enough followers")
    assert cluster.leader.get("key").status_code == 503
    assert cluster.leader.request("GET", "/admin/store").status_code == 503
    assert not cluster.leader.is_ready()
    assert cluster.leader.status()["last_index"] == 0
    # It only looks, until all have answered.
    assert [follower.status()["epoch"] for follower in cluster.followers[:2]] == epochs
    assert cluster.followers[0].get("key").json()["value"] == 1

    missing.thaw()
    cluster.leader.wait_until_ready()
    assert record.put(cluster.leader, "key", 3) == 200
    cluster.assert_nothing_lost(record)


def test_second_leader_takes_over_while_the_first_is_frozen(start_cluster: StartCluster) -> None:
    settings = {"WRITE_QUORUM": "2", **PATIENT}
    cluster = start_cluster(3, leader_settings=settings, proxied=True)
    record = WriteRecord()
    first = cluster.leader
    for number in range(50):
        assert record.put(first, f"first{number}", number) == 200
    cluster.wait_for_replication()
    second = cluster.add_leader("second")
    with ThreadPoolExecutor(1) as pool:
        # The first leader freezes with a write on its way, which arrives after the claims.
        for follower in cluster.followers:
            cluster.link(follower).stall()
        pending = pool.submit(first.put, "pending", "of the first")
        first.wait_for_last_index(52)
        first.freeze()
        second.start()
        second.wait_until_ready()
        for number in range(50):
            assert record.put(second, f"second{number}", number) == 200
        first.thaw()
        for follower in cluster.followers:
            cluster.heal(follower)
        answer = pending.result()
    assert (answer.status_code, answer.json()["version"]) == (504, 52)
    assert_deposed(first, second)
    assert cluster.followers[0].put("key", 1).json()["leader"] == second.url
    copy = cluster.assert_nothing_lost(record, second)
    assert "pending" not in copy.store
    assert copy.versions["second0"] == 53


def assert_deposed(first: Node, second: Node) -> None:
    """The first stays up, says by whom it was deposed, and confirms nothing."""
    first.wait_for_state("deposed")
    assert first.process.is_running
    assert first.request("GET", "/livez").status_code == 200
    assert first.request("GET", "/readyz").status_code == 503
    assert str(second.status()["epoch"]) in first.status()["problem"]
    for answer in (first.put("key", 1), first.delete("key")):
        assert (answer.status_code, answer.json()["replicas_confirmed"]) == (503, 0)
        assert answer.json()["status"] == "error"
    assert first.get("first1").status_code == 503
    assert first.request("GET", "/admin/store").status_code == 503
    assert second.status()["state"] == "leading"


def test_first_leader_under_load_is_deposed_by_a_second(start_cluster: StartCluster) -> None:
    """Whatever the first confirms up to its last moment, the second has taken over."""
    cluster = start_cluster(3, leader_settings={"WRITE_QUORUM": "2"})
    record = WriteRecord()
    second = cluster.add_leader("second")
    with BackgroundLoad(cluster.leader, record, clients=8) as load:
        load.wait_for_confirmed(100)
        second.start()
        cluster.leader.wait_for_state("deposed")
    confirmed = len(record.confirmed)
    second.wait_until_ready()
    cluster.assert_nothing_lost(record, second)
    with BackgroundLoad(second, record) as load:
        load.wait_for_confirmed(50)
    assert_deposed(cluster.leader, second)
    assert len(record.confirmed) > confirmed
    cluster.assert_nothing_lost(record, second)


def test_leaders_that_start_at_the_same_time(start_cluster: StartCluster) -> None:
    """They claim the same followers, perhaps with the same epoch: one of them leads in the end."""
    cluster = start_cluster(3)
    record = WriteRecord()
    for number in range(20):
        assert record.put(cluster.leader, f"key{number}", number) == 200
    cluster.wait_for_replication()
    cluster.leader.crash()
    leaders = [cluster.leader, cluster.add_leader("second")]
    for leader in leaders:
        leader.process.start()

    def why_not_decided() -> str | None:
        states = [leader.status()["state"] for leader in leaders]
        return None if sorted(states) == ["deposed", "leading"] else f"they are {states}"

    wait_until(why_not_decided)
    [winner] = [leader for leader in leaders if leader.status()["state"] == "leading"]
    assert record.put(winner, "decided", 1) == 200
    cluster.assert_nothing_lost(record, winner)


def test_leader_frozen_for_longer_than_a_write_waits(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, leader_settings={"WRITE_QUORUM": "2", "REPL_TIMEOUT": "0.5"})
    record = WriteRecord()
    with BackgroundLoad(cluster.leader, record) as load:
        load.wait_for_confirmed(30)
        cluster.leader.freeze()
        with pytest.raises(requests.Timeout):
            cluster.leader.request("PUT", "/put/patient", json={"value": 1}, timeout_s=1.5)
        cluster.leader.thaw()
        load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)


def forced_leader(cluster: ClusterHarness, missing: Node) -> dict[str, object]:
    """Start the leader again while a follower is missing, and force it to go on."""
    missing.crash()
    cluster.leader.crash()
    cluster.leader.restart()
    cluster.leader.wait_until_waiting_for([cluster.address(missing)])
    return cluster.leader.force_start([cluster.address(missing)])


def test_force_start_goes_on_without_a_missing_follower(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3, leader_settings={"WRITE_QUORUM": "2"})
    record = WriteRecord()
    for number in range(20):
        assert record.put(cluster.leader, f"key{number}", number) == 200
    cluster.wait_for_replication()
    epoch = cluster.leader.status()["epoch"]
    missing = cluster.followers[2]
    answer = forced_leader(cluster, missing)
    assert cluster.address(missing) in str(answer)
    assert "lost" in str(answer["risk"])
    assert "force_start" in cluster.leader.process.log_tail()

    cluster.leader.wait_until_ready()
    assert cluster.leader.status()["epoch"] >= epoch + FORCED_EPOCH_JUMP
    assert record.put(cluster.leader, "forced", 1) == 200
    missing.restart()
    missing.wait_until_ready()
    cluster.assert_nothing_lost(record)


def test_force_start_is_the_leaders_alone(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    assert cluster.followers[0].request("POST", "/admin/force_start").status_code == 403
    assert cluster.leader.request("POST", "/admin/force_start").status_code == 409
    cluster.assert_nothing_lost(record)
