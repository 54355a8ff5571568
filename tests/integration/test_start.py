"""How a node starts: with what settings, and when it refuses to."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartCluster
from tests.support.harness import PATIENT, ClusterHarness


def refuse_to_start(cluster: ClusterHarness) -> str:
    """Start the leader, which must exit by itself; returns what it logged."""
    process = cluster.leader.process
    process.start()
    code = process.wait_for_exit(60.0)
    log = process.log_path.read_text("utf-8")
    assert code not in (0, -9), f"exit code {code}:\n{log}"
    return log


@pytest.fixture
def stopped_leader(tmp_path: Path) -> Iterator[ClusterHarness]:
    """A cluster of a leader alone, which was not started."""
    cluster = ClusterHarness(0, tmp_path)
    yield cluster
    cluster.stop()


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"GUNICORN_CMD_ARGS": "-w 2"}, "2 workers"),
        ({"GUNICORN_CMD_ARGS": "--workers=0"}, "0 workers"),
        ({"WEB_CONCURRENCY": "2"}, "2 workers"),
        ({"GUNICORN_CMD_ARGS": "-k sync"}, "worker class"),
        ({"GUNICORN_CMD_ARGS": "-k gevent"}, "worker class"),
        ({"GUNICORN_CMD_ARGS": "--preload"}, "preload"),
        ({"GUNICORN_CMD_ARGS": "--reload"}, "reload"),
        ({"GUNICORN_CMD_ARGS": "-w 3 --preload"}, "preload"),
        ({"GUNICORN_CMD_ARGS": "-w 3 --preload"}, "3 workers"),
    ],
)
def test_what_is_not_one_worker_is_refused(
    stopped_leader: ClusterHarness, settings: dict[str, str], said: str
) -> None:
    stopped_leader.leader.process.settings.update(settings)
    assert said in refuse_to_start(stopped_leader)


def test_all_wrong_settings_are_named_in_one_message(stopped_leader: ClusterHarness) -> None:
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
    stopped_leader.leader.process.settings.update(wrong)
    log = refuse_to_start(stopped_leader)
    message = log[log.index("wrong settings") :]
    assert [name for name in wrong if name not in message] == []
    assert log.count("wrong settings") == 1
    assert "Traceback" not in log


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"WRITE_QUORUM": "2"}, ["WRITE_QUORUM", "FOLLOWERS"]),
        ({"MIN_DELAY": "2", "MAX_DELAY": "1"}, ["MIN_DELAY", "MAX_DELAY"]),
        ({"MAX_DELAY": "2000", "REPL_TIMEOUT": "2"}, ["MAX_DELAY", "REPL_TIMEOUT"]),
        ({"REPL_TIMEOUT": "0"}, ["REPL_TIMEOUT"]),
        ({"FOLLOWERS": "127.0.0.1:10,127.0.0.1:10"}, ["FOLLOWERS"]),
    ],
)
def test_settings_that_contradict_each_other(
    stopped_leader: ClusterHarness, settings: dict[str, str], named: list[str]
) -> None:
    stopped_leader.leader.process.settings.update({"FOLLOWERS": "127.0.0.1:10"} | settings)
    log = refuse_to_start(stopped_leader)
    assert all(name in log for name in named), log


def test_one_line_at_start_and_none_for_a_request(start_cluster: StartCluster) -> None:
    settings = {**PATIENT, "WRITE_QUORUM": "1", "MIN_DELAY": "0.25", "MAX_DELAY": "1.75"}
    cluster = start_cluster(1, leader_settings=settings)
    cluster.leader.put_confirmed("key", 0)
    logs = [node.process.log_path for node in cluster.nodes]
    before = [log.read_text("utf-8") for log in logs]
    start_lines = [line for line in before[0].splitlines() if "0.25" in line and "1.75" in line]
    assert len(start_lines) == 1
    assert cluster.leader.url in start_lines[0]
    assert re.search(r"\bleader\b.*\bW=1\b", start_lines[0])

    for number in range(200):
        cluster.leader.put_confirmed("key", number)
        cluster.leader.delete_confirmed("other")
    cluster.wait_for_replication()
    cluster.followers[0].get("key")
    cluster.followers[0].put("key", 1)
    assert [log.read_text("utf-8") for log in logs] == before


def test_follower_needs_no_settings(start_cluster: StartCluster) -> None:
    follower = start_cluster(1).followers[0]
    log = follower.process.log_path.read_text("utf-8")
    assert len([line for line in log.splitlines() if f"follower at {follower.url}" in line]) == 1


def test_advertised_url_is_what_followers_name(start_cluster: StartCluster) -> None:
    url = "http://leader.example:8080"
    cluster = start_cluster(1, leader_settings={"ADVERTISE_URL": url})
    assert cluster.followers[0].put("key", 1).json()["leader"] == url
