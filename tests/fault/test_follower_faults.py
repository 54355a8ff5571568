"""Followers are killed, frozen, cut off and emptied; they catch up by themselves."""

from kvstore.api_types import Error
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support.answers import found, refused
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT
from tests.support.waiting import containing, wait_for_status
from tests.support.write_record import WriteRecord

MISSED = 1_000


def test_follower_that_missed_1_000_writes_continues_where_it_was(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, proxied=True, **PATIENT)  # a message that seems lost is sent twice
    record = WriteRecord()
    record.put_each(cluster.leader, "before", 50)
    cluster.wait_for_replication()
    follower = cluster.followers[1]
    before = cluster.follower_status(follower)

    cluster.link(follower).refuse()
    cluster.wait_for_follower(follower, state="unreachable")
    record.put_each(cluster.leader, "missed", MISSED)
    cluster.heal(follower)

    cluster.assert_nothing_lost(record)
    after = cluster.follower_status(follower)
    assert after.entries_sent - before.entries_sent == MISSED
    assert after.snapshots_sent == before.snapshots_sent == 0
    assert after.node == before.node


def test_all_followers_return_empty_at_once(start_cluster: StartCluster) -> None:
    """Their leader is the only one who still has the data, which fills many messages.

    It cannot tell whether another leader took over meanwhile, and asks for an operator.
    """
    cluster = start_cluster(3, **PATIENT)
    leader, record = cluster.leader, WriteRecord()
    for number in range(10):
        assert record.put(leader, f"large{number}", [number, "é" * 400_000]) == 200
    cluster.restart(*cluster.followers)
    for follower in cluster.followers:
        cluster.wait_for_follower(follower, state="unknown")
    wait_for_status(leader, problem=containing("force_start"))
    assert not leader.is_ready()
    assert leader.put("key", 1).status_code == 503
    assert {follower.status().reign for follower in cluster.followers} == {None}
    cluster.force_start()
    assert len(cluster.assert_nothing_lost(record).store) == 10
    assert [f.snapshots_sent for f in leader.status().followers] == [1, 1, 1]


def test_follower_later_than_the_log_reaches_back_gets_a_snapshot(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, proxied=True, LOG_RETAIN=100, **PATIENT)
    record = WriteRecord()
    record.put_each(cluster.leader, "before", 20)
    cluster.wait_for_replication()
    follower = cluster.followers[1]
    node = follower.status().node
    cluster.link(follower).refuse()
    cluster.wait_for_follower(follower, state="unreachable")
    record.put_each(cluster.leader, "missed", 300)
    with BackgroundLoad(cluster.leader, record) as load:
        cluster.heal(follower)
        cluster.wait_until_streaming(follower)
        load.wait_for_confirmed(50)
    cluster.assert_nothing_lost(record)
    seen = cluster.follower_status(follower)
    # The load may write more than the log keeps before the next message arrives.
    assert seen.snapshots_sent >= 1
    assert seen.node == node


def test_too_few_followers_refuse_a_write_before_it_enters_the_log(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=2, **PATIENT)
    leader, follower, record = cluster.leader, cluster.followers[0], WriteRecord()
    assert record.put(leader, "key", 1) == 200
    last_index = leader.status().last_index
    follower.crash()
    cluster.wait_for_follower(follower, state="unreachable")

    for answer in (leader.put("key", 2), leader.delete("key")):
        assert refused(answer).reason == "not enough followers"
    assert leader.status().last_index == last_index
    assert found(leader.get("key")).value == 1

    follower.start()
    cluster.wait_until_streaming(follower)
    # The follower has forgotten who it was: an entry names it anew.
    assert leader.put_confirmed("key", 3) == last_index + 2
    cluster.assert_nothing_lost(record)


def test_emptied_follower_does_not_say_that_keys_do_not_exist(
    start_cluster: StartCluster,
) -> None:
    cluster = start_cluster(2, proxied=True, **PATIENT)
    follower, record = cluster.followers[0], WriteRecord()
    record.put_each(cluster.leader, "key", 20)
    cluster.link(follower).hold("/replicate/snapshot")
    follower.restart()
    cluster.wait_for_follower(follower, state="snapshot")
    for path in ("/get/key1", "/kv/key1", "/get/never", "/get/key1?min_version=1", "/admin/store"):
        answer = follower.request("GET", path)
        assert answer.status_code == 503, f"{path}: {answer.text}"
        assert decode(answer, Error).error
    assert not follower.is_ready()
    assert follower.status().applied_index == 0

    cluster.heal(follower)
    follower.wait_until_ready()
    assert found(follower.get("key1")).value == 1
    assert follower.get("never").status_code == 404
    cluster.assert_nothing_lost(record)
