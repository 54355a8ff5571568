"""What a node makes of signals: it ends in good order, and never becomes two."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from analysis.nodes.node import Node
from tests.conftest import StartCluster
from tests.support.answers import found
from tests.support.cluster import PATIENT, Cluster
from tests.support.waiting import at_least, containing, wait_for_status, wait_until

EXIT_TIMEOUT_S = 60.0


def wait_for_log(node: Node, text: str, times: int = 1) -> None:
    def why_not() -> str | None:
        found = node.log().count(text)
        return None if found >= times else f"{node.name} has logged {text!r} {found} times"

    wait_until(why_not)


@pytest.fixture
def pair(start_cluster: StartCluster) -> Cluster:
    """A leader and one follower behind a proxy; W=1."""
    return start_cluster(1, proxied=True, **PATIENT)


def test_sigterm_finishes_what_is_on_its_way(start_cluster: StartCluster) -> None:
    pair = start_cluster(1, proxied=True, **PATIENT)
    leader, follower = pair.nodes
    with ThreadPoolExecutor(5) as pool:
        pair.link(follower).stall()
        before = leader.status().last_index
        writes = [pool.submit(leader.put, f"on its way {n}", n) for n in range(5)]
        wait_for_status(leader, last_index=at_least(before + 5))
        leader.terminate()
        wait_for_log(leader, "Handling signal: term")
        pair.heal(follower)
        assert [write.result().status_code for write in writes] == [200] * 5
    assert leader.wait_for_exit(EXIT_TIMEOUT_S) == 0
    assert follower.copy().store == {f"on its way {n}": n for n in range(5)}


def test_sigterm_drains_the_senders(start_cluster: StartCluster) -> None:
    leader, follower = start_cluster(1, WRITE_QUORUM=0, **PATIENT).nodes
    leader.set_delay(200, 200)
    for number in range(50):
        leader.put_confirmed(f"key{number}", number)
    assert leader.stop(EXIT_TIMEOUT_S) == 0
    assert follower.copy().store == {f"key{n}": n for n in range(50)}
    assert follower.stop(EXIT_TIMEOUT_S) == 0


def test_sigterm_does_not_wait_for_ever_for_a_follower(pair: Cluster) -> None:
    pair.leader.set_quorum(0)
    pair.link(pair.followers[0]).stall()
    pair.leader.put_confirmed("key", 1)
    assert pair.leader.stop(EXIT_TIMEOUT_S) == 0


def test_no_signal_starts_a_second_worker(pair: Cluster) -> None:
    pair.leader.put_confirmed("key", "kept")
    ignored = (signal.SIGHUP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGUSR2, signal.SIGWINCH)
    for node in pair.nodes:
        before, state = node.processes, node.status()
        for number in ignored:
            os.kill(node.pid, number)
        # Signals that wait are delivered in the order of their numbers, and all before gunicorn
        # goes on: when it handles one that was sent after the first of these, all had their effect.
        for times in (1, 2):
            os.kill(node.pid, signal.SIGUSR1)
            wait_for_log(node, "Handling signal: usr1", times)
        assert node.processes == before
        assert (node.status().node, node.status().epoch) == (state.node, state.epoch)
        assert found(node.get("key")).value == "kept"


def test_worker_that_dies_alone_is_known_for_a_new_node(pair: Cluster) -> None:
    """Another worker starts without the first one's state, which must not go unnoticed."""
    leader, follower = pair.nodes
    leader.put_confirmed("key", 1)
    node = follower.status().node
    follower.processes[1].kill()
    wait_for_status(follower, node=lambda new: new != node)
    unknown = f"{pair.address(follower)}: unknown to this leader"
    wait_for_status(leader, problem=containing(unknown))
    pair.force_start()
    pair.wait_for_replication()
    assert pair.assert_copies_equal().store == {"key": 1}
    assert pair.follower_status(follower).snapshots_sent == 1
