"""Followers are killed, frozen, cut off and emptied; they catch up by themselves."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.open_writes import write_unnoticed
from tests.support.tcp_proxy import TcpProxy
from tests.support.waiting import wait_until
from tests.support.write_record import WriteRecord

MISSED = 1_000


def write_many(leader: Node, record: WriteRecord, count: int, name: str) -> None:
    """Write to as many keys, a few at a time; every write must be confirmed."""
    with ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(record.put, leader, f"{name}{n}", n) for n in range(count)]
        assert [put.result() for put in puts] == [200] * count


@pytest.mark.parametrize("stopped_by", ["freezing", "cutting off"])
def test_follower_that_missed_1_000_writes_continues_where_it_was(
    start_cluster: StartCluster, stopped_by: str
) -> None:
    # A message that counted as lost would be sent twice: it has 3 s, however busy the machine is.
    cluster = start_cluster(2, settings={"REPL_TIMEOUT": "6"}, proxied=True)
    record = WriteRecord()
    write_many(cluster.leader, record, 50, "before")
    cluster.wait_for_replication()
    follower = cluster.followers[1]
    address = cluster.address(follower)
    before = cluster.leader.follower_status(address)

    if stopped_by == "freezing":
        follower.freeze()
    else:
        cluster.partition(follower)
    cluster.leader.wait_for_follower(address, "unreachable")
    write_many(cluster.leader, record, MISSED, "missed")
    follower.thaw()
    cluster.heal(follower)

    cluster.assert_nothing_lost(record)
    after = cluster.leader.follower_status(address)
    assert after["entries_sent"] - before["entries_sent"] == MISSED
    assert after["snapshots_sent"] == before["snapshots_sent"] == 0
    assert after["node"] == before["node"]


def test_killed_follower_returns_empty_and_gets_a_snapshot_while_writes_go_on(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(3, settings=PATIENT)
    record = WriteRecord()
    write_many(cluster.leader, record, 1_200, "before")  # more than one chunk
    follower = cluster.followers[0]
    node = follower.status()["node"]
    with BackgroundLoad(cluster.leader, record) as load:
        follower.crash()
        load.wait_for_confirmed(50)
        follower.restart()
        follower.wait_until_ready()
        load.wait_for_confirmed(50)
    copy = cluster.assert_nothing_lost(record)
    assert len(copy.store) > 1_200
    seen = cluster.leader.follower_status(cluster.address(follower))
    assert seen["snapshots_sent"] == 1
    assert seen["node"] == follower.status()["node"] != node
    assert (
        cluster.leader.follower_status(cluster.address(cluster.followers[1]))["snapshots_sent"] == 0
    )


def test_all_followers_return_empty_at_once(start_cluster: StartCluster) -> None:
    """Their leader is the only one who still has the data, which fills many messages.

    It cannot tell whether another leader took over meanwhile, and asks for an operator.
    """
    cluster = start_cluster(3, settings=PATIENT)
    record = WriteRecord()
    for number in range(10):
        assert record.put(cluster.leader, f"large{number}", [number, "é" * 400_000]) == 200
    for follower in cluster.followers:
        follower.crash()
    for follower in cluster.followers:
        follower.restart()
    for follower in cluster.followers:
        cluster.leader.wait_for_follower(cluster.address(follower), "unknown")
    cluster.leader.wait_for_problem("force_start")
    assert not cluster.leader.is_ready()
    assert cluster.leader.put("key", 1).status_code == 503
    assert {follower.status()["reign"] for follower in cluster.followers} == {None}
    cluster.leader.force_start()
    copy = cluster.assert_nothing_lost(record)
    assert len(copy.store) == 10
    assert [f["snapshots_sent"] for f in cluster.leader.status()["followers"]] == [1, 1, 1]


def test_large_values_that_a_follower_missed(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2)
    record = WriteRecord()
    cluster.followers[0].freeze()
    for number in range(10):
        assert record.put(cluster.leader, f"large{number}", [number, "é" * 400_000]) == 200
    cluster.followers[0].thaw()
    cluster.assert_nothing_lost(record)
    assert [f["snapshots_sent"] for f in cluster.leader.status()["followers"]] == [0, 0]


def test_follower_later_than_the_log_reaches_back_gets_a_snapshot(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, leader_settings={"LOG_RETAIN": "100"}, proxied=True)
    record = WriteRecord()
    write_many(cluster.leader, record, 20, "before")
    cluster.wait_for_replication()
    follower = cluster.followers[1]
    node = follower.status()["node"]
    cluster.partition(follower)
    write_many(cluster.leader, record, 300, "missed")
    with BackgroundLoad(cluster.leader, record) as load:
        cluster.heal(follower)
        cluster.wait_until_streaming([follower])
        load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)
    seen = cluster.leader.follower_status(cluster.address(follower))
    # The load may write more than the log keeps before the next message arrives.
    assert seen["snapshots_sent"] >= 1
    assert seen["node"] == node


def test_follower_frozen_in_mid_write(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, leader_settings={"WRITE_QUORUM": "2"})
    record = WriteRecord()
    assert record.put(cluster.leader, "key", "before") == 200
    follower = cluster.followers[0]

    def restore() -> None:
        follower.thaw()
        cluster.wait_until_streaming([follower])

    [late] = write_unnoticed(follower.freeze, restore, partial(cluster.leader.put, "key", "late"))
    version = late.json()["version"]
    assert late.json()["replicas_confirmed"] == 1
    assert cluster.leader.get("key").json()["value"] == "before"

    restore()
    for node in cluster.nodes:
        read = node.get("key", min_version=version).json()
        assert read == {"found": True, "value": "late", "version": version}
    cluster.assert_nothing_lost(record)
    assert cluster.leader.put_confirmed("key", "after") == version + 1


@pytest.mark.parametrize("how", ["killed", "cut off"])
def test_too_few_followers_refuse_a_write_before_it_enters_the_log(
    start_cluster: StartCluster, how: str
) -> None:
    cluster = start_cluster(2, leader_settings={"WRITE_QUORUM": "2"}, proxied=True)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    last_index = cluster.leader.status()["last_index"]
    follower = cluster.followers[0]
    if how == "killed":
        follower.crash()
    else:
        cluster.partition(follower)
    cluster.leader.wait_for_follower(cluster.address(follower), "unreachable")

    for answer in (cluster.leader.put("key", 2), cluster.leader.delete("key")):
        assert answer.status_code == 503
        reason = {"status": "error", "reason": "not enough followers", "replicas_confirmed": 0}
        assert answer.json() == reason
    assert cluster.leader.status()["last_index"] == last_index
    assert cluster.leader.get("key").json()["value"] == 1

    if how == "killed":
        follower.restart()
    cluster.heal(follower)
    cluster.wait_until_streaming([follower])
    # Where the follower has forgotten who it was, an entry names it anew.
    named = 1 if how == "killed" else 0
    assert cluster.leader.put_confirmed("key", 3) == last_index + named + 1
    cluster.assert_nothing_lost(record)


def test_emptied_follower_does_not_say_that_keys_do_not_exist(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, proxied=True)
    record = WriteRecord()
    write_many(cluster.leader, record, 20, "key")
    follower = cluster.followers[0]
    cluster.link(follower).hold("/replicate/snapshot")
    follower.crash()
    follower.restart()
    cluster.leader.wait_for_follower(cluster.address(follower), "snapshot")
    for path in ("/get/key1", "/kv/key1", "/get/never", "/get/key1?min_version=1", "/admin/store"):
        answer = follower.request("GET", path)
        assert answer.status_code == 503, f"{path}: {answer.text}"
        assert isinstance(answer.json()["error"], str)
    assert not follower.is_ready()
    assert follower.status()["applied_index"] == 0

    cluster.heal(follower)
    follower.wait_until_ready()
    assert follower.get("key1").json()["value"] == 1
    assert follower.get("never").status_code == 404
    cluster.assert_nothing_lost(record)


def test_late_follower_that_kept_its_state_goes_on_answering(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, proxied=True)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", "old") == 200
    cluster.wait_for_replication()
    follower = cluster.followers[0]
    cluster.partition(follower)
    cluster.leader.wait_for_follower(cluster.address(follower), "unreachable")
    assert record.put(cluster.leader, "key", "new") == 200
    assert follower.get("key").json()["value"] == "old"
    cluster.heal(follower)
    assert cluster.assert_nothing_lost(record).store == {"key": "new"}


def test_two_addresses_of_one_node(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    follower = cluster.followers[0].process.address
    with TcpProxy(follower) as second_address:
        addresses = f"{follower},{second_address.address}"
        settings = {"FOLLOWERS": addresses, "WRITE_QUORUM": "2"}
        doubled = cluster.add_leader("doubled", settings)
        doubled.start()

        def why_not_noticed() -> str | None:
            problem = doubled.status()["problem"]
            return None if problem and "one node" in problem else f"the problem is {problem}"

        wait_until(why_not_noticed)
        assert not doubled.is_ready()
        assert doubled.put("key", 2).status_code == 503
        assert doubled.get("key").status_code == 503
        doubled.crash()
    cluster.assert_nothing_lost(record)


def test_address_that_turns_out_to_be_another_followers(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, leader_settings={"WRITE_QUORUM": "2"}, proxied=True)
    record = WriteRecord()
    assert record.put(cluster.leader, "key", 1) == 200
    strayed, other = cluster.followers
    cluster.link(strayed).redirect(other.process.address)

    def why_not_noticed() -> str | None:
        problem = cluster.leader.status()["problem"]
        return None if problem and "one node" in problem else f"the problem is {problem}"

    wait_until(why_not_noticed)
    assert not cluster.leader.is_ready()
    # One node must not confirm for two.
    assert cluster.leader.put("key", 2).status_code == 503

    cluster.link(strayed).redirect(strayed.process.address)
    cluster.wait_until_streaming([strayed])
    assert cluster.leader.is_ready()
    assert record.put(cluster.leader, "key", 3) == 200
    cluster.assert_nothing_lost(record)


def test_all_followers_in_turn(start_cluster: StartCluster) -> None:
    """Each is killed while the one before may still be catching up; W of them are always left."""
    cluster: ClusterHarness = start_cluster(3, settings=PATIENT)
    record = WriteRecord()
    with BackgroundLoad(cluster.leader, record) as load:
        for follower in cluster.followers:
            load.wait_for_confirmed(30)
            follower.crash()
            load.wait_for_confirmed(30)
            follower.restart()
            follower.wait_until_ready()
    cluster.assert_nothing_lost(record)
    assert record.refused == 0
