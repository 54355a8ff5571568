"""``/metrics`` of real nodes, as a real Prometheus sees it."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from analysis.nodes.free_ports import free_ports
from analysis.nodes.metrics import requests_of, scrape
from analysis.nodes.node import REPO_ROOT, Node
from tests.conftest import StartCluster
from tests.support.cluster import Cluster
from tests.support.waiting import wait_until

OBSERVE = REPO_ROOT / "deploy" / "observe"

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="needs prometheus (Debian: apt-get install it)"
)


@pytest.fixture(scope="module")
def pair(start_shared_cluster: StartCluster) -> Cluster:
    return start_shared_cluster(1, WRITE_QUORUM=1, durable=True)


def test_a_leader_counts_what_it_does(pair: Cluster) -> None:
    leader, [follower] = pair.leader, pair.followers
    before = scrape(leader)
    for number in range(5):
        leader.put_confirmed("k", number)
    leader.get("absent")
    pair.wait_for_replication()
    after = scrape(leader)

    def grown(name: str, *labels: str) -> float:
        return after[name, *labels] - before.get((name, *labels), 0)

    request = "kvstore_http_request_duration_seconds"
    assert grown(f"{request}_count", "method=PUT", "route=/put/{key}", "status=200") == 5
    assert grown(f"{request}_count", "method=GET", "route=/get/{key}", "status=404") == 1
    assert grown("kvstore_quorum_wait_seconds_count") == 5
    assert 0 < grown("kvstore_quorum_wait_seconds_sum") < 60
    assert grown("kvstore_disk_commit_seconds_count") == 5
    of_it = f"follower={follower.address}"
    assert grown("kvstore_replication_exchange_entries_sum", of_it) == 5
    assert grown("kvstore_replication_exchange_seconds_count", of_it) == 5
    assert grown("kvstore_follower_delays_total", of_it) >= 5
    drawn, happened = (
        after[f"kvstore_follower_delay_{what}_seconds_total", of_it]
        for what in ("drawn", "happened")
    )
    assert 0 < drawn < happened
    status = leader.status()
    for name, value in (
        ("last_index", status.last_index),
        ("durable_index", status.last_index),
        ("commit_index", status.commit_index),
        ("applied_index", status.applied_index),
        ("write_quorum", 1),
        ("pending_entries", 0),
        ("ready", 1),
        ("problem", 0),
        ("map_keys", 1),
        ("log_entries", status.last_index),
    ):
        assert after[f"kvstore_{name}",] == value, name
    assert after["kvstore_follower_reachable", of_it] == 1
    assert after["kvstore_follower_lag_entries", of_it] == 0
    reign = ("state=leading", f"reign={status.reign}", f"node={status.node}", "role=leader")
    assert after["kvstore_reign_info", *sorted(reign)] == 1


def test_a_follower_counts_as_well(pair: Cluster) -> None:
    [follower] = pair.followers
    pair.leader.put_confirmed("k", 1)
    pair.wait_for_replication()
    found = scrape(follower)
    assert found["kvstore_durable_index",] == follower.status().last_index
    assert found["kvstore_disk_commit_seconds_count",] > 0
    labels = ("method=POST", "route=/replicate", "status=200")
    assert found["kvstore_http_request_duration_seconds_count", *labels] > 0
    assert not any(name.startswith("kvstore_follower_") for name, *_ in found)


def test_strange_requests_make_no_new_series(pair: Cluster) -> None:
    for number in range(20):
        pair.leader.request("GET", f"/nowhere/{number}")
        pair.leader.request(f"STRANGE{number}", f"/put/{number}")
    assert requests_of(pair.leader, "GET", "other", 404) == 20
    assert requests_of(pair.leader, "other", "/put/{key}", 405) == 20


def test_a_wait_in_vain_counts_too(start_cluster: StartCluster) -> None:
    cluster = start_cluster(1, WRITE_QUORUM=1, REPL_TIMEOUT=1)
    [follower] = cluster.followers
    of_it = f"follower={follower.address}"
    before = scrape(cluster.leader)["kvstore_replication_lost_total", of_it]
    with cluster.frozen(follower):
        assert cluster.leader.put("k", 1).status_code == 504
        found = scrape(cluster.leader)
        assert found["kvstore_replication_lost_total", of_it] > before
        assert found["kvstore_follower_reachable", of_it] == 0
        assert found["kvstore_follower_lag_entries", of_it] == 1
        assert found["kvstore_follower_lag_seconds", of_it] > 0
        assert found["kvstore_pending_entries",] == 1
        assert found["kvstore_quorum_wait_seconds_sum",] >= 1


def test_the_metrics_are_for_operators(start_cluster: StartCluster) -> None:
    cluster = start_cluster(0, CLUSTER_TOKEN="secret")
    refused = cluster.leader.request("GET", "/metrics")
    assert refused.status_code == 401
    scrape(cluster.leader, Authorization="Bearer secret")


def test_dashboard_and_alerts_ask_for_metrics_that_exist(pair: Cluster) -> None:
    dashboard = json.loads((OBSERVE / "grafana/dashboards/kvstore.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = " ".join(expressions) + (OBSERVE / "alerts.yml").read_text("utf-8")
    names = set(re.findall(r"\b(?:kvstore|process)_[a-z_]+", asked))
    known = {name for name, *_ in scrape(pair.leader)}
    assert len(names) > 15
    assert names <= known


# A real Prometheus


@contextmanager
def prometheus(targets: list[Node], directory: Path) -> Iterator[str]:
    """Prometheus with the project's own configuration, but for these targets, and every second.

    :return: its URL.
    """
    config = (OBSERVE / "prometheus.yml").read_text("utf-8")
    head, _, _ = config.partition("          - leader:5000")
    lines = "".join(f"          - {node.address}\n" for node in targets)
    (directory / "prometheus.yml").write_text(head.replace("5s", "1s") + lines, "utf-8")
    shutil.copy(OBSERVE / "alerts.yml", directory)
    [port] = free_ports(1)
    process = subprocess.Popen(
        [
            *("prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data"),
            f"--web.listen-address=127.0.0.1:{port}",
        ],
        cwd=directory,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def ask(url: str, query: str) -> dict[str, float]:
    """What a query finds, by the label that tells its samples apart."""
    found: list[dict[str, Any]] = requests.get(
        f"{url}/api/v1/query", {"query": query}, timeout=10
    ).json()["data"]["result"]
    return {
        each["metric"].get("follower") or each["metric"]["instance"]: float(each["value"][1])
        for each in found
    }


@needs_prometheus
def test_prometheus_sees_the_lag_of_a_frozen_follower(
    start_cluster: StartCluster, tmp_path: Path
) -> None:
    cluster = start_cluster(2, WRITE_QUORUM=1, REPL_TIMEOUT=1)
    healthy, frozen = cluster.followers
    with prometheus(cluster.nodes, tmp_path) as url:

        def why_not(query: str, expected: dict[str, float]) -> str | None:
            found = ask(url, query)
            return None if found == expected else f"{query}: {found}"

        up = {node.address: 1.0 for node in cluster.nodes}
        wait_until(lambda: why_not('up{job="kvstore"}', up))
        both = {healthy.address: 0.0, frozen.address: 0.0}
        wait_until(lambda: why_not("kvstore_follower_lag_entries", both))
        with cluster.frozen(frozen):
            for number in range(7):
                cluster.leader.put_confirmed("k", number)
            expected = {healthy.address: 0.0, frozen.address: 7.0}
            wait_until(lambda: why_not("kvstore_follower_lag_entries", expected))
            reachable = {healthy.address: 1.0, frozen.address: 0.0}
            wait_until(lambda: why_not("kvstore_follower_reachable", reachable))
            pending = 'ALERTS{alertname="KvstoreFollowerUnreachable"}'
            wait_until(lambda: why_not(pending, {frozen.address: 1.0}))
        wait_until(lambda: why_not("kvstore_follower_lag_entries", both))


@needs_prometheus
@pytest.mark.parametrize(
    "words", [("check", "config", "prometheus.yml"), ("test", "rules", "alerts_test.yml")]
)
def test_promtool_is_content(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *words], cwd=OBSERVE, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
