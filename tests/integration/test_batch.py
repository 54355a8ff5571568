"""``POST /batch``: all or none, in order, each operation with its own outcome."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest
import requests

from analysis.nodes.node import Node
from kvstore.api_types import BatchRefused, BatchWritten, Error, Found, Judged, NotLeader, Result
from kvstore.client.node_client import decode
from kvstore.http.batch_body import MAX_OPERATIONS, MIN_LIMIT_BYTES
from tests.conftest import StartCluster
from tests.support.answers import found, is_absent, left_open, open_version, refused
from tests.support.cluster import PATIENT, Cluster
from tests.support.open_writes import until_confirmed, write_and_freeze
from tests.support.waiting import at_least, wait_for_status


@pytest.fixture(scope="module")
def cluster(start_shared_cluster: StartCluster) -> Cluster:
    """A durable leader and two followers; W=2, and a write has a lot of time."""
    return start_shared_cluster(2, durable=True, WRITE_QUORUM=2, **PATIENT)


def put(key: str, value: Any = 1, **conditions: Any) -> dict[str, Any]:
    return {"operation": "put", "key": key, "value": value, **conditions}


def delete(key: str, **conditions: Any) -> dict[str, Any]:
    return {"operation": "delete", "key": key, **conditions}


def confirmed(answer: requests.Response) -> list[tuple[str, int]]:
    """Keys and versions of a batch that is confirmed."""
    assert answer.status_code == 200, answer.text
    return [(result.key, result.version) for result in decode(answer, BatchWritten).results]


def last_index(node: Node) -> int:
    return node.status().last_index


def assert_equal_copies(cluster: Cluster) -> None:
    cluster.wait_for_replication()
    cluster.assert_copies_equal()


def test_each_operation_gets_the_next_index(cluster: Cluster) -> None:
    leader = cluster.leader
    before = last_index(leader)
    answer = leader.batch([put("a", None), put("b/é", [1.5]), delete("a"), put("b/é", {"x": "y"})])
    assert decode(answer, BatchWritten) == BatchWritten(
        results=[
            Result(key, before + number)
            for number, key in enumerate(("a", "b/é", "a", "b/é"), start=1)
        ],
        replicas_confirmed=2,
    )
    assert is_absent(leader.get("a"))
    expected = Found(found=True, value={"x": "y"}, version=before + 4)
    assert [found(node.get("b/é", before + 4)) for node in cluster.nodes] == [expected] * 3
    assert_equal_copies(cluster)


def test_a_refused_batch_does_nothing_and_says_which_operations_are_to_blame(
    cluster: Cluster,
) -> None:
    leader = cluster.leader
    version = leader.put_confirmed("refused", 1)
    answer = leader.batch(
        [
            put("refused", 2, if_match=version),
            put("refused", 3, if_match=version),
            put("new", 1, if_none_match="*"),
            delete("new", if_match="*"),
            put("new", 2, if_match="*"),
            put("refused", 4, if_none_match=version),
        ]
    )
    assert answer.status_code == 412
    assert decode(answer, BatchRefused).results == [
        Judged("refused", holds=True, version=version),
        Judged("refused", holds=False, version=version),
        Judged("new", holds=True, version=None),
        Judged("new", holds=True, version=None),
        Judged("new", holds=False, version=None),
        Judged("refused", holds=True, version=version),
    ]
    assert last_index(leader) == version
    assert found(leader.get("refused")).value == 1
    assert is_absent(leader.get("new"))


def test_conditions_that_hold(cluster: Cluster) -> None:
    leader = cluster.leader
    version = leader.put_confirmed("held", 1)
    operations = [
        put("held", 2, if_match=version, if_none_match=version + 9),
        delete("held", if_match="*"),
        put("held", 3, if_none_match="*"),
    ]
    assert confirmed(leader.batch(operations)) == [("held", version + n) for n in (1, 2, 3)]
    assert leader.batch(operations).status_code == 412
    assert found(leader.get("held")).value == 3


def test_batches_of_many_clients_do_not_mix(cluster: Cluster) -> None:
    """Each of them increments both counters or none; single writes go on in between."""
    leader = cluster.leader
    confirmed(leader.batch([put("one", 0), put("two", 0)]))

    def increment(_: int) -> int:
        one, two = found(leader.get("one")), found(leader.get("two"))
        leader.put_confirmed("between", 1)
        operations = [
            put(key, item.value + 1, if_match=item.version)
            for key, item in (("one", one), ("two", two))
        ]
        return leader.batch(operations).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = [*pool.map(increment, range(80))]
    assert set(statuses) <= {200, 412}
    assert found(leader.get("one")).value == found(leader.get("two")).value == statuses.count(200)
    assert_equal_copies(cluster)


def test_the_largest_batches(cluster: Cluster) -> None:
    """Many operations, and much in them: both travel in one message each."""
    leader = cluster.leader
    before = last_index(leader)
    many = [put(f"many{number}", number) for number in range(MAX_OPERATIONS)]
    much = [put(f"much{number}", "x" * (MIN_LIMIT_BYTES // 10 - 50)) for number in range(10)]
    with ThreadPoolExecutor(2) as pool:
        answers = [confirmed(each) for each in pool.map(leader.batch, (many, much))]
    versions = sorted(version for answer in answers for _, version in answer)
    assert versions == [*range(before + 1, before + 1 + MAX_OPERATIONS + 10)]
    assert [version for _, version in answers[0]] == sorted(version for _, version in answers[0])
    assert found(leader.get("many999")).value == 999
    assert_equal_copies(cluster)


@pytest.mark.parametrize(
    ("operations", "status", "text"),
    [
        ([], 400, "from 1 to 1000"),
        ([put("k")] * (MAX_OPERATIONS + 1), 400, "from 1 to 1000"),
        ([put("k")] * (MAX_OPERATIONS - 1) + [put("")], 400, 'operations[999]: "key"'),
        ([put("k"), {"operation": "noop", "key": "k"}], 400, 'operations[1]: "operation"'),
        ([put("k"), put("k" * 1025)], 400, "operations[1]: the key is longer than 1024 bytes"),
        ([put("k"), put("k", "x" * MIN_LIMIT_BYTES)], 413, "operations[1]: the value is larger"),
        ([put("k", "x" * (MIN_LIMIT_BYTES // 2))] * 2, 413, "the batch is larger"),
        ([put("k", " " * (4 * MIN_LIMIT_BYTES))], 413, "the body is larger"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_batch_does_nothing(
    operations: list[Any], status: int, text: str, cluster: Cluster
) -> None:
    leader, before = cluster.leader, last_index(cluster.leader)
    answer = leader.batch(operations)
    assert (answer.status_code, text in decode(answer, Error).error) == (status, True), answer.text
    assert last_index(leader) == before


def test_a_follower_names_the_leader(cluster: Cluster) -> None:
    answer = cluster.followers[0].batch([put("k")])
    assert (answer.status_code, decode(answer, NotLeader).leader) == (403, cluster.leader.url)


def test_a_repeated_batch_has_the_same_outcome_also_after_a_restart(cluster: Cluster) -> None:
    leader = cluster.leader
    small = [put("once", if_none_match="*"), delete("once")]
    large = [put(f"repeated{number}", "x" * 100, if_none_match="*") for number in range(1000)]
    for key, operations in (("small", small), ("large", large)):
        repeat = partial(leader.batch, operations, Idempotency_Key=key)
        first = confirmed(repeat())
        assert confirmed(repeat()) == first
        cluster.restart(leader)
        assert confirmed(until_confirmed(repeat)) == first
        assert leader.batch(operations[1:], Idempotency_Key=key).status_code == 422
        assert leader.put("once", 1, Idempotency_Key=key).status_code == 422


# When the quorum is late


def test_a_late_batch_is_open_and_all_of_it_is_confirmed_later(start_cluster: StartCluster) -> None:
    cluster = start_cluster(2, durable=True, WRITE_QUORUM=2, REPL_TIMEOUT=1)
    leader, late = cluster.leader, cluster.followers[1]
    operations = [put("a"), put("b"), delete("a")]
    write = partial(leader.batch, operations, Idempotency_Key="late")
    [answer] = write_and_freeze(cluster, [late], write)
    version = open_version(answer)
    assert left_open(answer).reason == "quorum not reached"
    assert last_index(leader) == version
    assert is_absent(leader.get("b")), "nothing of it is shown"
    cluster.wait_for_follower(late, state="unreachable")
    assert refused(leader.batch(operations)).reason == "not enough followers"
    cluster.thaw(late)
    results = confirmed(until_confirmed(write))
    assert results == [("a", version - 2), ("b", version - 1), ("a", version)]
    assert_equal_copies(cluster)


def test_a_batch_survives_its_leader_whole(start_cluster: StartCluster) -> None:
    """A follower that holds some of it holds all of it, though this is more than usually fits."""
    delays = {"MIN_DELAY": 300, "MAX_DELAY": 300}  # between one message and the next
    cluster = start_cluster(1, durable=True, **delays, **PATIENT)
    leader, [follower] = cluster.leader, cluster.followers
    other = cluster.add_leader("other")
    before = last_index(leader)
    operations = [put(f"key{number}", "x" * 1000) for number in range(MAX_OPERATIONS)]
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(leader.batch, operations)
        wait_for_status(follower, last_index=at_least(before + 1))
        leader.crash()
        assert answer.exception() is not None or answer.result().status_code == 200
    other.launch()
    other.wait_until_serving()
    wait_for_status(other, state="leading")
    assert len(other.copy().store) == MAX_OPERATIONS
