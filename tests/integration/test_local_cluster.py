import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import requests

from analysis.nodes.errors import NodeError
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.local_node import LocalNode


def processes_of(node: LocalNode) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError):
            if os.getpgid(process.pid) == node.pid:
                found.append(process)
    return found


def test_a_cluster_starts_gets_ready_and_stops_without_leaving_a_process(tmp_path: Path) -> None:
    with LocalCluster(2, tmp_path) as cluster:
        assert [node.role for node in cluster.nodes] == ["leader", "follower", "follower"]
        for node in cluster.nodes:
            assert node.is_running
            assert requests.get(f"{node.url}/readyz", timeout=30).status_code == 200
        answer = requests.put(f"{cluster.leader.url}/put/k", json={"value": 1}, timeout=30)
        assert answer.status_code == 200
        processes = [process for node in cluster.nodes for process in processes_of(node)]
        assert len(processes) >= 2 * 3
        assert cluster.stop() == {"leader": 0, "follower1": 0, "follower2": 0}
    assert not any(process.is_running() for process in processes)


def test_a_killed_node_leaves_no_process_and_returns_under_its_own_port(tmp_path: Path) -> None:
    with LocalCluster(1, tmp_path, data_root=tmp_path / "data") as cluster:
        (follower,) = cluster.followers
        url, processes = follower.url, processes_of(follower)
        assert follower.kill() == -signal.SIGKILL
        psutil.wait_procs(processes, timeout=60)
        assert not any(process.is_running() for process in processes)
        assert not follower.is_running
        follower.start()
        follower.wait_until_ready()
        assert follower.url == url


def test_the_settings_of_the_shell_do_not_reach_the_nodes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers=3")
    monkeypatch.setenv("MIN_DELAY", "nonsense")
    with LocalCluster(1, tmp_path, leader_settings={"WRITE_QUORUM": "0"}) as cluster:
        status = requests.get(f"{cluster.leader.url}/status", timeout=30).json()
        assert status["write_quorum"] == 0


def test_a_node_that_exits_while_starting_is_reported_with_its_log(tmp_path: Path) -> None:
    cluster = LocalCluster(1, tmp_path, follower_settings={"MIN_DELAY": "nonsense"})
    with pytest.raises(NodeError, match=r"(?s)follower1 exited while it was starting.*MIN_DELAY"):
        cluster.__enter__()
    assert not any(node.is_running for node in cluster.nodes)


def test_a_node_that_does_not_get_ready_is_reported_with_the_reason(tmp_path: Path) -> None:
    cluster = LocalCluster(1, tmp_path)
    cluster.leader.start()
    try:
        with pytest.raises(NodeError, match=r"not ready after 0.5 s: leader: (no answer|HTTP 503)"):
            cluster.leader.wait_until_ready(timeout_s=0.5)
    finally:
        cluster.stop()


def test_a_frozen_node_is_killed_when_it_does_not_stop(tmp_path: Path) -> None:
    with LocalCluster(1, tmp_path) as cluster:
        (follower,) = cluster.followers
        processes = processes_of(follower)
        os.killpg(follower.pid, signal.SIGSTOP)
        assert follower.stop(timeout_s=0.5) == -signal.SIGKILL
        _, alive = psutil.wait_procs(processes, timeout=60)
        assert alive == []


def test_a_node_cannot_be_started_twice_nor_stopped_before_it_was_started(tmp_path: Path) -> None:
    follower = LocalCluster(1, tmp_path).followers[0]
    with pytest.raises(NodeError, match="was never started"):
        follower.stop()
    follower.start()
    try:
        with pytest.raises(NodeError, match="already running"):
            follower.start()
    finally:
        follower.kill()
