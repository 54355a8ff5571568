"""What a node makes of signals: it ends in good order, and never becomes two."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import StartCluster
from tests.support.harness import PATIENT, ClusterHarness, Node
from tests.support.waiting import wait_until

EXIT_TIMEOUT_S = 60.0


def wait_for_log(node: Node, text: str, times: int = 1) -> None:
    def why_not() -> str | None:
        found = node.process.log_path.read_text("utf-8").count(text)
        return None if found >= times else f"{node.name} has logged {text!r} {found} times"

    wait_until(why_not)


@pytest.fixture
def patient_pair(start_cluster: StartCluster) -> ClusterHarness:
    """A leader and one follower behind a proxy; W=1; what is on its way has a lot of time."""
    return start_cluster(1, settings=PATIENT, proxied=True)


@pytest.fixture
def pair(start_cluster: StartCluster) -> ClusterHarness:
    """A leader and one follower behind a proxy; W=1."""
    return start_cluster(1, proxied=True)


def test_sigterm_finishes_the_requests_in_hand(patient_pair: ClusterHarness) -> None:
    pair = patient_pair
    follower = pair.followers[0]
    with ThreadPoolExecutor(5) as pool:
        pair.link(follower).stall()
        before = pair.leader.status()["last_index"]
        writes = [pool.submit(pair.leader.put, f"in hand {n}", n) for n in range(5)]
        pair.leader.wait_for_last_index(before + 5)
        pair.leader.process.terminate()
        wait_for_log(pair.leader, "Handling signal: term")
        pair.heal(follower)
        assert [write.result().status_code for write in writes] == [200] * 5
    assert pair.leader.process.wait_for_exit(EXIT_TIMEOUT_S) == 0
    assert follower.store().store == {f"in hand {n}": n for n in range(5)}


def test_sigterm_drains_the_senders(patient_pair: ClusterHarness) -> None:
    pair = patient_pair
    pair.leader.set_quorum(0)
    pair.leader.set_delay(200, 200)
    for number in range(50):
        pair.leader.put_confirmed(f"key{number}", number)
    assert pair.leader.process.stop(EXIT_TIMEOUT_S) == 0
    assert pair.followers[0].store().store == {f"key{n}": n for n in range(50)}


def test_sigterm_does_not_wait_for_ever_for_a_follower(pair: ClusterHarness) -> None:
    pair.leader.set_quorum(0)
    pair.link(pair.followers[0]).stall()
    pair.leader.put_confirmed("key", 1)
    assert pair.leader.process.stop(EXIT_TIMEOUT_S) == 0


def test_sigterm_ends_a_follower(pair: ClusterHarness) -> None:
    pair.leader.put_confirmed("key", 1)
    assert pair.followers[0].process.stop(EXIT_TIMEOUT_S) == 0


def test_no_signal_starts_a_second_worker(pair: ClusterHarness) -> None:
    pair.leader.put_confirmed("key", "kept")
    for node in pair.nodes:
        before = [process.pid for process in node.processes]
        state = node.status()
        for number in (
            signal.SIGHUP,
            signal.SIGTTIN,
            signal.SIGTTIN,
            signal.SIGTTOU,
            signal.SIGUSR2,
            signal.SIGWINCH,
        ):
            os.kill(node.process.pid, number)
        # Signals that wait are delivered in the order of their numbers, and all before gunicorn
        # goes on: when it handles one that was sent after the first of these, all had their effect.
        for times in (1, 2):
            os.kill(node.process.pid, signal.SIGUSR1)
            wait_for_log(node, "Handling signal: usr1", times)
        assert [process.pid for process in node.processes] == before
        assert (node.status()["node"], node.status()["epoch"]) == (state["node"], state["epoch"])
        assert node.get("key").json()["value"] == "kept"


def test_worker_that_dies_alone_is_known_for_a_new_node(pair: ClusterHarness) -> None:
    """Another worker starts without the first one's state, which must not go unnoticed."""
    follower = pair.followers[0]
    pair.leader.put_confirmed("key", 1)
    node = follower.status()["node"]
    worker = follower.processes[1]
    worker.kill()
    worker.wait(timeout=EXIT_TIMEOUT_S)
    wait_until(lambda: None if follower.status()["node"] != node else "it is the same node")
    pair.leader.wait_for_problem(f"{pair.address(follower)}: unknown to this leader")
    pair.leader.force_start()
    pair.wait_for_replication()
    assert pair.assert_copies_equal().store == {"key": 1}
    assert pair.leader.follower_status(pair.address(follower))["snapshots_sent"] == 1
