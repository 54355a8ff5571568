"""Messages between leader and followers are lost, doubled, late and out of order."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from analysis.nodes.node import Node
from kvstore.api_types import Found, Status, Store
from tests.conftest import StartCluster
from tests.support.answers import found, left_open, open_version
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import PATIENT, Cluster
from tests.support.open_writes import write_unnoticed
from tests.support.tcp_proxy import Direction
from tests.support.write_record import WriteRecord

PATHS = ("/replicate", "/replicate/hello", "/replicate/claim", "/replicate/snapshot")


@pytest.fixture
def cluster(start_cluster: StartCluster) -> Cluster:
    """A leader and two followers behind proxies; W=1."""
    return start_cluster(2, proxied=True)


def held_by(follower: Node) -> tuple[Store, Status]:
    """A follower's copy and position; what is known to be confirmed may be told it any time."""
    return follower.copy(), msgspec.structs.replace(follower.status(), commit_index=0)


def test_old_messages_that_come_again_in_any_order_change_nothing(cluster: Cluster) -> None:
    follower, record = cluster.followers[0], WriteRecord()
    record.put_each(cluster.leader, "in the snapshot", 5)
    follower.restart()
    follower.wait_until_ready()
    with BackgroundLoad(cluster.leader, record) as load:
        load.wait_for_confirmed(150)
    cluster.wait_for_replication()
    before = held_by(follower)

    link = cluster.link(follower)
    messages = [request for path in PATHS for request in link.requests(path)]
    assert {message.path for message in messages} == set(PATHS)
    random.Random(1).shuffle(messages)
    for message in messages:
        answer = link.replay(message)
        assert answer.status in (200, 409)
        assert answer.json()["last_index"] == before[0].index
        assert held_by(follower) == before
    cluster.assert_nothing_lost(record)


def hold_entries(cluster: Cluster, follower: Node) -> None:
    """Hold back what brings entries to a follower, and the hello after the loss of its answer."""
    cluster.link(follower).hold("/replicate")
    cluster.link(follower).hold("/replicate/hello")


def test_requests_that_arrive_after_the_leader_has_sent_them_anew(
    start_cluster: StartCluster,
) -> None:
    # The other follower, which confirms the writes meanwhile, gets 3 s for each message.
    cluster = start_cluster(2, proxied=True, REPL_TIMEOUT=6)
    late, record = cluster.followers[0], WriteRecord()
    with BackgroundLoad(cluster.leader, record) as load:
        for _ in range(2):
            load.wait_for_confirmed(20)
            hold_entries(cluster, late)
            cluster.wait_for_follower(late, state="unreachable")
            cluster.heal(late)
            cluster.wait_until_streaming(late)
    cluster.assert_nothing_lost(record)
    assert record.refused == record.open == 0


@pytest.mark.parametrize(
    ("lost", "seen"), [(Direction.TO_CLIENT, "late"), (Direction.TO_SERVER, "before")]
)
def test_acknowledgements_or_requests_are_lost(
    cluster: Cluster, lost: Direction, seen: str
) -> None:
    """The leader cannot tell which: the outcome is open, and then confirmed."""
    leader, record = cluster.leader, WriteRecord()
    assert record.put(leader, "key", "before") == 200
    cluster.wait_for_replication()

    def cut() -> None:
        for follower in cluster.followers:
            cluster.link(follower).cut(lost)

    def heal() -> None:
        cluster.heal(*cluster.followers)
        cluster.wait_until_streaming()

    [answer] = write_unnoticed(cut, heal, partial(leader.put, "key", "late"))
    assert left_open(answer).replicas_confirmed == 0
    version = open_version(answer)
    assert {found(follower.get("key")).value for follower in cluster.followers} == {seen}
    assert found(leader.get("key")).value == "before"

    heal()
    for node in cluster.nodes:
        read = node.get("key", min_version=version)
        assert found(read) == Found(found=True, value="late", version=version)
    cluster.assert_nothing_lost(record)
    assert leader.status().last_index == version


def test_stuck_request_is_sent_again_while_its_write_waits(start_cluster: StartCluster) -> None:
    """One replication request gets half of the time of a write, so there is a second chance."""
    cluster = start_cluster(1, proxied=True, REPL_TIMEOUT=6)
    follower, record = cluster.followers[0], WriteRecord()
    with ThreadPoolExecutor(1) as pool:
        hold_entries(cluster, follower)
        write = pool.submit(record.put, cluster.leader, "key", 1)
        cluster.wait_for_follower(follower, state="unreachable")
        cluster.heal(follower)
        assert write.result() == 200
    cluster.assert_nothing_lost(record)


def test_connections_break_again_and_again(cluster: Cluster) -> None:
    record = WriteRecord()
    breaker = random.Random(3)
    with BackgroundLoad(cluster.leader, record) as load:
        for _ in range(15):
            load.wait_for_confirmed(breaker.randrange(1, 20))
            follower = breaker.choice(cluster.followers)
            cluster.link(follower).refuse()
            cluster.heal(follower)
    cluster.assert_nothing_lost(record)


def test_slow_link_delays_nobody_else(start_cluster: StartCluster) -> None:
    """The far follower gets everything, several entries at a time."""
    cluster = start_cluster(2, proxied=True, **PATIENT)
    far, record = cluster.followers[1], WriteRecord()
    cluster.link(far).delay(0.1)
    with BackgroundLoad(cluster.leader, record, clients=2) as load:
        load.wait_for_confirmed(200)
        seen = cluster.follower_status(far)
    cluster.assert_nothing_lost(record)
    assert seen.snapshots_sent == 0
    assert record.refused == record.open == 0
