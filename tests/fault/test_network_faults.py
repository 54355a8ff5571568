"""Messages between leader and followers are lost, doubled, late and out of order."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests

from analysis.nodes.copies import Copy
from tests.conftest import StartCluster
from tests.support.background_load import BackgroundLoad
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.http_stream import HttpRequest
from tests.support.open_writes import write_unnoticed
from tests.support.tcp_proxy import Direction
from tests.support.write_record import WriteRecord

PATHS = ("/replicate", "/replicate/hello", "/replicate/claim", "/replicate/snapshot")


@pytest.fixture
def cluster(start_cluster: StartCluster) -> ClusterHarness:
    """A leader and two followers behind proxies; W=1."""
    return start_cluster(2, proxied=True)


@pytest.fixture
def patient(start_cluster: StartCluster) -> ClusterHarness:
    """The same, but no write and no message is given up because the machine is busy."""
    return start_cluster(2, settings=PATIENT, proxied=True)


def seen_by(cluster: ClusterHarness, follower: Node) -> list[HttpRequest]:
    """Every message that reached a follower."""
    return [request for path in PATHS for request in cluster.link(follower).requests(path)]


def held_by(follower: Node) -> tuple[Copy, Any]:
    """A follower's copy and position; what is known to be confirmed may be told it any time."""
    told = {"commit_index"}
    return follower.store(), {k: v for k, v in follower.status().items() if k not in told}


def test_old_messages_that_come_again_in_any_order_change_nothing(
    cluster: ClusterHarness,
) -> None:
    record = WriteRecord()
    follower = cluster.followers[0]
    follower.crash()
    follower.restart()
    follower.wait_until_ready()
    with BackgroundLoad(cluster.leader, record) as load:
        load.wait_for_confirmed(150)
    cluster.wait_for_replication()
    before = held_by(follower)

    messages = seen_by(cluster, follower)
    assert {message.path for message in messages} >= {"/replicate", "/replicate/hello"}
    random.Random(1).shuffle(messages)
    for message in messages:
        answer = cluster.link(follower).replay(message)
        assert answer.status in (200, 409)
        assert answer.json()["last_index"] == before[0].index
        assert held_by(follower) == before
    cluster.assert_nothing_lost(record)


def test_messages_are_doubled_and_reordered_while_writes_go_on(patient: ClusterHarness) -> None:
    record = WriteRecord()
    follower = patient.followers[0]
    chooser = random.Random(2)
    with BackgroundLoad(patient.leader, record) as load:
        load.wait_for_confirmed(20)
        for _ in range(300):
            message = chooser.choice(seen_by(patient, follower))
            assert patient.link(follower).replay(message).status in (200, 409)
        load.wait_for_confirmed(20)
    patient.assert_nothing_lost(record)
    assert record.refused == record.open == 0


def test_snapshot_that_comes_once_more_after_later_writes(cluster: ClusterHarness) -> None:
    record = WriteRecord()
    follower = cluster.followers[0]
    assert record.put(cluster.leader, "key", "in the snapshot") == 200
    follower.crash()
    follower.restart()
    follower.wait_until_ready()
    assert record.put(cluster.leader, "key", "later") == 200
    assert record.put(cluster.leader, "other", 1) == 200
    cluster.wait_for_replication()
    *_, later, other = [write.version for write in record.confirmed]

    chunks = cluster.link(follower).requests("/replicate/snapshot")
    assert chunks
    for chunk in chunks:
        # Late duplicates are harmless: acknowledged with what is held, and not installed.
        answer = cluster.link(follower).replay(chunk)
        assert (answer.status, answer.json()["last_index"]) == (200, other)
    assert follower.get("key").json() == {"found": True, "value": "later", "version": later}
    cluster.assert_nothing_lost(record)


def hold_entries(cluster: ClusterHarness, follower: Node) -> None:
    """Hold back what brings entries to a follower, and the hello after the loss of its answer."""
    cluster.link(follower).hold("/replicate")
    cluster.link(follower).hold("/replicate/hello")


def test_requests_that_arrive_after_the_leader_has_sent_them_anew(
    start_cluster: StartCluster,
) -> None:
    # The other follower, which confirms the writes meanwhile, gets 3 s for each message.
    cluster = start_cluster(2, settings={"REPL_TIMEOUT": "6"}, proxied=True)
    record = WriteRecord()
    late = cluster.followers[0]
    address = cluster.address(late)
    with BackgroundLoad(cluster.leader, record) as load:
        for _ in range(3):
            load.wait_for_confirmed(20)
            hold_entries(cluster, late)
            cluster.leader.wait_for_follower(address, "unreachable")
            cluster.heal(late)
            cluster.wait_until_streaming([late])
    cluster.assert_nothing_lost(record)
    assert record.refused == record.open == 0


def write_while_cut(cluster: ClusterHarness, direction: Direction) -> requests.Response:
    """Write while everything that goes in one direction is lost, and before the leader knows it."""

    def cut() -> None:
        for follower in cluster.followers:
            cluster.link(follower).cut(direction)

    restore = partial(heal_all, cluster)
    [answer] = write_unnoticed(cut, restore, partial(cluster.leader.put, "key", "late"))
    return answer


def heal_all(cluster: ClusterHarness) -> None:
    for follower in cluster.followers:
        cluster.heal(follower)
    cluster.wait_until_streaming(cluster.followers)


def test_acknowledgements_are_lost(cluster: ClusterHarness) -> None:
    """The followers hold the entry, but the leader cannot know: outcome open, then confirmed."""
    record = WriteRecord()
    assert record.put(cluster.leader, "key", "before") == 200
    cluster.wait_for_replication()
    answer = write_while_cut(cluster, Direction.TO_CLIENT)
    assert (answer.status_code, answer.json()["replicas_confirmed"]) == (504, 0)
    version = answer.json()["version"]
    for follower in cluster.followers:
        assert follower.get("key", min_version=version).json()["value"] == "late"
    assert cluster.leader.get("key").json()["value"] == "before"

    heal_all(cluster)
    read = cluster.leader.get("key", min_version=version).json()
    assert read == {"found": True, "value": "late", "version": version}
    cluster.assert_nothing_lost(record)
    assert cluster.leader.status()["last_index"] == version


def test_requests_are_lost(cluster: ClusterHarness) -> None:
    record = WriteRecord()
    assert record.put(cluster.leader, "key", "before") == 200
    cluster.wait_for_replication()
    answer = write_while_cut(cluster, Direction.TO_SERVER)
    assert (answer.status_code, answer.json()["replicas_confirmed"]) == (504, 0)
    version = answer.json()["version"]
    for node in cluster.nodes:
        assert node.get("key").json()["value"] == "before"
    heal_all(cluster)
    for node in cluster.nodes:
        assert node.get("key", min_version=version).json()["value"] == "late"
    cluster.assert_nothing_lost(record)


def test_stuck_request_is_sent_again_while_its_write_waits(start_cluster: StartCluster) -> None:
    """One replication request gets half of the time of a write, so there is a second chance."""
    cluster = start_cluster(1, leader_settings=PATIENT, proxied=True)
    follower = cluster.followers[0]
    record = WriteRecord()
    with ThreadPoolExecutor(1) as pool:
        hold_entries(cluster, follower)
        write = pool.submit(record.put, cluster.leader, "key", 1)
        cluster.leader.wait_for_follower(cluster.address(follower), "unreachable")
        cluster.heal(follower)
        assert write.result() == 200
    cluster.assert_nothing_lost(record)


def test_connections_break_again_and_again(cluster: ClusterHarness) -> None:
    record = WriteRecord()
    breaker = random.Random(3)
    with BackgroundLoad(cluster.leader, record) as load:
        for _ in range(15):
            load.wait_for_confirmed(breaker.randrange(1, 20))
            follower = breaker.choice(cluster.followers)
            cluster.link(follower).refuse()
            cluster.heal(follower)
    cluster.assert_nothing_lost(record)


def test_slow_link_delays_nobody_else(patient: ClusterHarness) -> None:
    """The far follower gets everything, several entries at a time."""
    record = WriteRecord()
    far = patient.followers[1]
    patient.link(far).delay(0.1)
    with BackgroundLoad(patient.leader, record, clients=2) as load:
        load.wait_for_confirmed(200)
        seen = patient.leader.follower_status(patient.address(far))
    patient.assert_nothing_lost(record)
    assert seen["snapshots_sent"] == 0
    assert record.refused == record.open == 0


def test_follower_that_is_killed_again_while_it_gets_a_snapshot(cluster: ClusterHarness) -> None:
    record = WriteRecord()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record.put(cluster.leader, f"key{n}", n), range(200)))
    follower = cluster.followers[0]
    cluster.link(follower).hold("/replicate/snapshot")
    for _ in range(2):
        follower.crash()
        follower.restart()
        cluster.leader.wait_for_follower(cluster.address(follower), "snapshot")
    cluster.heal(follower)
    follower.wait_until_ready()
    assert len(cluster.assert_nothing_lost(record).store) == 200
