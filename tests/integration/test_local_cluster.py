"""Nodes as the study starts them."""

from pathlib import Path

import pytest

from analysis.nodes.errors import NodeError
from analysis.nodes.local_cluster import LocalCluster


def test_a_node_that_exits_while_starting_is_reported_with_its_log(tmp_path: Path) -> None:
    cluster = LocalCluster(1, tmp_path)
    (follower,) = cluster.followers
    follower.settings["MIN_DELAY"] = "nonsense"
    with pytest.raises(NodeError, match=r"(?s)follower1 exited while it was starting.*MIN_DELAY"):
        cluster.__enter__()
    assert not any(node.is_running for node in cluster.nodes)
