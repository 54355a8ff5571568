"""Messages between leader and followers are lost, doubled, late and out of order."""

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import msgspec
import pytest

from analysis.nodes.node import Node
from analysis.nodes.tcp_proxy import Direction
from kvstore.api_types import Found, Status, Store
from tests.conftest import StartCluster
from tests.support.answers import found, left_open, open_version
from tests.support.background_load import BackgroundLoad
from tests.support.cluster import Cluster
from tests.support.open_writes import write_unnoticed
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
        for path in ("/replicate", "/replicate/hello"):
            cluster.link(follower).hold(path)
        write = pool.submit(record.put, cluster.leader, "key", 1)
        cluster.wait_for_follower(follower, state="unreachable")
        cluster.heal(follower)
        assert write.result() == 200
    cluster.assert_nothing_lost(record)
