"""The command line as a program: what it prints, and what its exit codes mean while nodes fail."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from analysis.nodes.node import REPO_ROOT, Node
from tests.conftest import StartCluster
from tests.support.cluster import Cluster

DONE, NO, USAGE, OPEN, NOBODY = 0, 1, 2, 3, 4


def kvstore(
    *words: str,
    nodes: list[Node],
    stdin: str = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run the program with these nodes as KVSTORE_URL."""
    urls = ",".join(node.url for node in nodes)
    return subprocess.run(
        [sys.executable, "-m", "kvstore", *words],
        cwd=REPO_ROOT,
        env={**os.environ, "KVSTORE_URL": urls, **(environment or {})},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def healthy(start_shared_cluster: StartCluster) -> Cluster:
    return start_shared_cluster(2, WRITE_QUORUM=2)


def run(cluster: Cluster, *words: str, code: int = DONE, stdin: str = "") -> str:
    """Run the program against the followers, check its exit code, and return what it prints."""
    done = kvstore(*words, nodes=cluster.followers, stdin=stdin)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code == DONE else done.stderr


def test_keys_from_one_end_to_the_other(healthy: Cluster) -> None:
    assert "confirmed: version" in run(healthy, "put", "colour", "green")
    assert run(healthy, "get", "colour") == "green\n"
    version = json.loads(run(healthy, "get", "colour", "--json"))["version"]
    assert "has version" in run(healthy, "put", "colour", "red", "--if-match", "1", code=NO)
    run(healthy, "put", "colour", '{"r": 1}', "--if-match", str(version))
    assert json.loads(run(healthy, "get", "colour", "--follower")) == {"r": 1}
    run(healthy, "delete", "colour")
    assert "there is no key 'colour'" in run(healthy, "get", "colour", code=NO)
    run(healthy, "put", "number", "--", "-5")
    assert run(healthy, "get", "number") == "-5\n"
    run(healthy, "put", "text", "-", stdin="NaN")
    assert json.loads(run(healthy, "get", "text", "--json"))["value"] == "NaN"


def test_a_batch_of_lines(healthy: Cluster) -> None:
    put = '{"operation": "put", "key": "b1", "value": 1}'
    lines = f'{put}\n\n{{"operation": "delete", "key": "b2"}}\n'
    done = json.loads(run(healthy, "batch", "--json", stdin=lines))
    assert [each["key"] for each in done["results"]] == ["b1", "b2"]
    refused = '{"operation": "put", "key": "b1", "value": 2, "if_none_match": "*"}'
    assert "1: 'b1' has version" in run(healthy, "batch", stdin=refused, code=NO)
    assert "line 2" in run(healthy, "batch", stdin=f"{put}\n{{}}", code=USAGE)
    assert "0 operations" in run(healthy, "batch", code=USAGE)


def test_operators_see_and_change_the_cluster(healthy: Cluster) -> None:
    shown = run(healthy, "status")
    assert all(node.url in shown for node in healthy.nodes)
    statuses = [each["status"] for each in json.loads(run(healthy, "status", "--json"))]
    assert [each["role"] for each in statuses] == ["leader", "follower", "follower"]
    run(healthy, "quorum", "1")
    assert run(healthy, "quorum") == "W = 1\n"
    assert "from 0 to 2" in run(healthy, "quorum", "3", code=NO)
    run(healthy, "quorum", "2")
    assert "1 to 2 ms" in run(healthy, "delay", "1", "2")
    assert "2 to 3 ms" in run(
        healthy, "delay", "2", "3", "--follower", healthy.followers[0].address
    )
    first, second = run(healthy, "delay").splitlines()
    assert "2 to 3 ms; " in first
    assert "1 to 2 ms; " in second
    assert "on average" in first
    assert "give MIN and MAX" in run(healthy, "delay", "1", code=USAGE)


def test_a_dump_fills_an_empty_cluster(
    healthy: Cluster, start_cluster: StartCluster, tmp_path: Path
) -> None:
    for number in range(3):
        run(healthy, "put", f"d{number}", str(number))
    file = tmp_path / "dump.jsonl"
    run(healthy, "dump", str(file))
    assert "not empty" in run(healthy, "load", str(file), code=NO)
    empty = start_cluster(1)
    lines = len(file.read_text("utf-8").splitlines())
    assert json.loads(run(empty, "load", str(file), "--json")) == {"loaded": lines}
    assert empty.leader.copy().store == healthy.leader.copy().store


def test_a_dump_with_a_fault_loads_nothing_and_a_conflict_tells_how_far_it_came(
    start_cluster: StartCluster,
) -> None:
    empty = start_cluster(1)
    good = "".join(f'{{"key": "k{number}", "value": 1}}\n' for number in range(1000))
    assert "line 1001" in run(empty, "load", stdin=good + "{}", code=USAGE)
    assert empty.leader.copy().store == {}
    conflict = run(empty, "load", stdin=good + '{"key": "k7", "value": 2}', code=NO)
    assert "1,000 of 1,001 keys are loaded; then: " in conflict
    assert len(empty.leader.copy().store) == 1000


def test_copies_are_verified(healthy: Cluster, start_cluster: StartCluster) -> None:
    assert "3 copies are equal" in run(healthy, "verify")
    one, other = start_cluster(1), start_cluster(1)
    for number, cluster in enumerate((one, other)):
        cluster.leader.put_confirmed("k", number)
        cluster.wait_for_replication()
    done = kvstore("verify", nodes=[one.leader, other.leader])
    assert done.returncode == NO, "they are not copies of one cluster"
    assert "different values: 1 (k)" in done.stderr
    one.leader.put_confirmed("k", 2)
    assert kvstore("--timeout", "1", "verify", nodes=[one.leader, other.leader]).returncode == OPEN


def test_a_short_measurement_leaves_nothing_behind(healthy: Cluster) -> None:
    before = healthy.leader.copy().store
    done = json.loads(run(healthy, "bench", "--seconds", "0.5", "--clients", "2", "--json"))
    assert done["writes"] > 0
    assert done["failed"] == 0
    assert done["p50_ms"] <= done["p95_ms"] <= done["p99_ms"]
    assert healthy.leader.copy().store == before


def test_wrong_usage(healthy: Cluster) -> None:
    assert "not empty" in run(healthy, "put", "", "1", code=USAGE)
    assert "Did you mean" in run(healthy, "putt", code=USAGE)
    assert "neither a version" in run(healthy, "delete", "k", "--if-match", "x", code=USAGE)
    done = kvstore("get", "k", nodes=[], environment={"KVSTORE_URL": "localhost:5000"})
    assert done.returncode == USAGE
    assert "not the URL of a node" in done.stderr


def test_a_shell_can_complete(healthy: Cluster) -> None:
    assert "_KVSTORE_COMPLETE" in run(healthy, "completion", "bash")


def test_exit_codes_while_nodes_are_frozen_and_killed(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, durable=True)
    [follower] = cluster.followers

    def code(*words: str) -> int:
        return kvstore("--timeout", "2", *words, nodes=cluster.nodes).returncode

    assert code("put", "k", "1") == DONE
    with cluster.frozen(cluster.leader):
        assert code("put", "k", "2") == OPEN
        assert code("get", "k") == NOBODY
        assert code("get", "k", "--follower") in (DONE, NOBODY), "the frozen one may be asked first"
        assert code("verify") == NOBODY
        shown = kvstore("status", nodes=[follower]).stdout
        assert "does not answer" in shown
    follower.crash()
    cluster.wait_for_follower(follower, state="unreachable")
    assert code("put", "k", "3") == NO
    assert code("verify") == NOBODY
    cluster.leader.crash()
    for words in (("put", "k", "4"), ("get", "k"), ("status",), ("quorum", "1")):
        assert code(*words) == NOBODY


def test_an_open_write_can_be_brought_to_its_end(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, REPL_TIMEOUT=1)
    with cluster.frozen(*cluster.followers):
        done = kvstore("--timeout", "6", "put", "k", "1", "--json", nodes=cluster.nodes)
    assert done.returncode == OPEN
    left_open = json.loads(done.stdout)
    name = left_open["idempotency_key"]
    done = kvstore("put", "k", "1", "--idempotency-key", name, "--json", nodes=cluster.nodes)
    assert json.loads(done.stdout)["version"] == left_open["version"]


def test_a_cluster_with_a_token(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, CLUSTER_TOKEN="secret")
    done = kvstore("quorum", "0", nodes=cluster.nodes)
    assert done.returncode == NO
    assert "KVSTORE_TOKEN" in done.stderr
    environment = {"KVSTORE_TOKEN": "secret"}
    assert kvstore("quorum", "0", nodes=cluster.nodes, environment=environment).returncode == DONE
