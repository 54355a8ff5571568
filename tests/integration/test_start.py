"""How a node starts: with what settings, and when it refuses to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from analysis.nodes.node import Node
from kvstore.api_types import NotLeader
from kvstore.client.node_client import decode
from tests.conftest import StartCluster
from tests.support.cluster import PATIENT, Cluster


@pytest.fixture
def leader(tmp_path: Path) -> Iterator[Node]:
    """A leader without followers, which was not started."""
    cluster = Cluster(0, tmp_path)
    yield cluster.leader
    cluster.stop()


def refuse_to_start(node: Node, settings: dict[str, str]) -> str:
    """Start a node, which must exit by itself; returns what it logged."""
    node.settings.update(settings)
    node.launch()
    code = node.wait_for_exit(60.0)
    assert code > 0, f"exit code {code}:\n{node.log()}"
    return node.log()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GUNICORN_CMD_ARGS": "--workers=0"}, ["0 workers"]),
        ({"WEB_CONCURRENCY": "2"}, ["2 workers"]),
        ({"GUNICORN_CMD_ARGS": "-k gevent --reload"}, ["worker class", "reload"]),
        ({"GUNICORN_CMD_ARGS": "-w 3 --preload"}, ["preload", "3 workers"]),
    ],
)
def test_what_is_not_one_worker_is_refused(
    leader: Node, settings: dict[str, str], said: list[str]
) -> None:
    log = refuse_to_start(leader, settings)
    assert [words for words in said if words not in log] == []


def test_all_wrong_settings_are_named_in_one_message(leader: Node) -> None:
    wrong = {
        "WRITE_QUORUM": "-1",
        "MIN_DELAY": "fast",
        "MAX_DELAY": "-2",
        "REPL_TIMEOUT": "nan",
        "FOLLOWERS": "localhost,127.0.0.1:99999",
        "MAX_KEY_BYTES": "0",
        "MAX_VALUE_BYTES": "1e6",
        "LOG_RETAIN": "all",
        "ADVERTISE_URL": "nowhere",
        "CLUSTER_TOKEN_FILE": "/does/not/exist",
    }
    log = refuse_to_start(leader, wrong)
    message = log[log.index("invalid settings") :]
    assert [name for name in wrong if name not in message] == []
    assert log.count("invalid settings") == 1
    assert "Traceback" not in log


def test_one_line_at_start_and_none_for_a_request(start_cluster: StartCluster) -> None:
    url = "http://leader.example:8080"
    settings = {**PATIENT, "MIN_DELAY": 0.25, "MAX_DELAY": 1.75, "ADVERTISE_URL": url}
    cluster = start_cluster(1, **settings)
    leader, follower = cluster.nodes
    leader.put_confirmed("key", 0)
    before = [node.log() for node in cluster.nodes]
    [start_line] = [line for line in before[0].splitlines() if "0.25" in line and "1.75" in line]
    assert re.search(rf"\bleader\b.*{re.escape(url)}.*\bW=1\b", start_line), start_line
    assert before[1].count(f"follower at {url}") == 1

    for number in range(100):
        leader.put_confirmed("key", number)
        leader.delete_confirmed("other")
    cluster.wait_for_replication()
    follower.get("key")
    assert decode(follower.put("key", 1), NotLeader).leader == url
    assert [node.log() for node in cluster.nodes] == before
