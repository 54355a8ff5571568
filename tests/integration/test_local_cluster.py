"""Nodes as the study starts them: they start as a cluster, and leave nothing behind."""

import signal
from pathlib import Path

import psutil
import pytest

from analysis.nodes.errors import NodeError
from analysis.nodes.local_cluster import LocalCluster


def test_a_cluster_starts_gets_ready_and_stops_without_leaving_a_process(tmp_path: Path) -> None:
    with LocalCluster(2, tmp_path) as cluster:
        assert [node.role for node in cluster.nodes] == ["leader", "follower", "follower"]
        assert all(node.is_ready() for node in cluster.nodes)
        cluster.leader.put_confirmed("k", 1)
        processes = [process for node in cluster.nodes for process in node.processes]
        assert len(processes) == 2 * 3
        with pytest.raises(NodeError, match="already running"):
            cluster.leader.launch()
    assert [node.wait_for_exit(0) for node in cluster.nodes] == [0, 0, 0]
    assert not any(process.is_running() for process in processes)


def test_a_frozen_node_is_killed_when_it_does_not_stop(tmp_path: Path) -> None:
    with LocalCluster(1, tmp_path, data_root=tmp_path / "data") as cluster:
        (follower,) = cluster.followers
        processes = follower.processes
        follower.freeze()
        assert follower.stop(timeout_s=0.5) == -signal.SIGKILL
        _, alive = psutil.wait_procs(processes, timeout=60)
        assert alive == []
        follower.start()
        follower.wait_until_ready()


def test_a_node_that_exits_while_starting_is_reported_with_its_log(tmp_path: Path) -> None:
    cluster = LocalCluster(1, tmp_path)
    (follower,) = cluster.followers
    follower.settings["MIN_DELAY"] = "nonsense"
    with pytest.raises(NodeError, match=r"(?s)follower1 exited while it was starting.*MIN_DELAY"):
        cluster.__enter__()
    assert not any(node.is_running for node in cluster.nodes)


def test_a_node_that_does_not_get_ready_is_reported_with_the_reason(tmp_path: Path) -> None:
    leader = LocalCluster(1, tmp_path).leader
    with pytest.raises(NodeError, match="was never started"):
        leader.stop()
    leader.start()
    try:
        with pytest.raises(NodeError, match=r"leader: not within 0.5 s: HTTP 503"):
            leader.wait_until_ready(timeout_s=0.5)
    finally:
        leader.crash()
