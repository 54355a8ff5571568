"""Locust, headless, as its own process, against real nodes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from analysis.nodes.errors import LoadError
from analysis.nodes.free_ports import free_ports
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import REPO_ROOT, Node
from analysis.study.follower_lag import FollowerLag
from analysis.study.load import LoadSpec, run_load
from analysis.study.locust_totals import read_locust_totals, why_disagreeing
from analysis.study.request_log import read_request_log
from analysis.study.write_plan import WritePlan
from kvstore.client.convergence import check_copies
from tests.support.descriptors import descriptors
from tests.support.inherited_signals import heeding_interrupts
from tests.support.scripted_server import HANG_UP, Answer, ScriptedServer
from tests.support.waiting import at_least, wait_for_status

TIMEOUT_S = 120.0
FOLLOWERS = 3
# A slow machine may need more than the usual 2 s for the queue that many users make at once.
PATIENT = {"REPL_TIMEOUT": "50"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """At the end all nodes hold the same."""
    with LocalCluster(FOLLOWERS, tmp_path_factory.mktemp("nodes"), PATIENT) as cluster:
        yield cluster
        checks = check_copies(cluster.leader, cluster.followers, timeout_s=30.0)
        assert [check.problem for check in checks if not check.is_equal] == []


@pytest.fixture
def leader(cluster: LocalCluster) -> Node:
    return cluster.leader


@pytest.fixture
def spec(cluster: LocalCluster, tmp_path: Path) -> LoadSpec:
    """A small load with keys of its own."""
    return LoadSpec(
        leader_url=cluster.leader.url,
        write_quorum=2,
        writes=300,
        keys=20,
        users=7,
        key_prefix=f"{tmp_path.name}-",
        seed=1,
        folder=tmp_path,
    )


def run_locust(spec: LoadSpec, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*spec.commands()[0], *options],
        cwd=REPO_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def test_exactly_the_writes_arrive_and_the_files_tell_of_them(
    spec: LoadSpec, cluster: LocalCluster, leader: Node
) -> None:
    before = leader.status().last_index
    done = run_locust(spec)
    assert done.returncode == 0, done.stdout
    assert leader.status().last_index - before == spec.writes
    assert leader.status().write_quorum == spec.write_quorum
    plan = WritePlan(spec.writes, spec.keys, spec.key_prefix, spec.seed)
    assert plan.why_not_in(leader.copy(), before) == []
    ours = {key for key in leader.copy().store if key.startswith(spec.key_prefix)}
    assert ours == set(plan.values_by_key())

    log = read_request_log(spec.request_log)
    assert len(log.latency_ms) == spec.writes
    assert log.failures == {}
    assert why_disagreeing(read_locust_totals(spec.stats_csv), log) is None
    names = {line.split(",")[1] for line in spec.stats_csv.read_text().splitlines()[1:]}
    assert names == {"/put/[key]", "Aggregated"}
    lag = FollowerLag.load(spec.lag_report)
    assert set(lag.lag_entries) == {follower.address for follower in cluster.followers}
    assert None not in lag.caught_up_after_s.values()


@pytest.mark.parametrize(("users", "spawn_rate"), [(50, 20), (1, 1)])
def test_more_users_than_writes_and_a_single_user_end_as_well(
    spec: LoadSpec, leader: Node, users: int, spawn_rate: int
) -> None:
    """Without a quorum of its own, the load leaves the leader's as it is."""
    leader.set_quorum(3)
    before = leader.status().last_index
    few = replace(spec, writes=9, users=users)
    done = run_locust(few, f"--spawn-rate={spawn_rate}", "--write-quorum=")
    assert done.returncode == 0, done.stdout
    assert leader.status().last_index - before == 9
    assert leader.status().write_quorum == 3


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--write-quorum=4", "the leader refused write quorum 4: HTTP 400"),
        ("--keys=0", "keys must be 1 or more"),
        ("--host=http://127.0.0.1:1", "cannot start the load"),
        ("--users=100000000", "need more open files"),
        ("--processes=2", "needs --master and --worker processes, not --processes"),
    ],
)
def test_a_load_that_cannot_start_says_why_and_writes_nothing(
    spec: LoadSpec, leader: Node, option: str, message: str
) -> None:
    before = leader.status().last_index
    done = run_locust(spec, option)
    assert done.returncode != 0
    assert message in done.stdout
    assert leader.status().last_index == before


TOO_FEW = {"status": "error", "reason": "not enough followers", "replicas_confirmed": 0}


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        ((503, TOO_FEW), "HTTP 503: not enough followers"),
        (HANG_UP, "no answer: the outcome is open"),
        ((200, {"status": "ok"}), "HTTP 200, but no confirmation"),
        ((307, {}), "HTTP 307"),
    ],
    ids=["a refusal", "a lost connection", "a wrong answer with status 200", "a redirect"],
)
def test_what_is_a_failed_write_and_not_sent_again(
    spec: LoadSpec, answer: Answer, failure: str
) -> None:
    with ScriptedServer({}, otherwise=answer) as server:
        stray = replace(spec, leader_url=server.url, writes=12)
        done = run_locust(stray, "--write-quorum=", "--lag-report=")
    assert done.returncode == 1, done.stdout
    assert sum(request.path.startswith("/put/") for request in server.requests) == 12
    [(found, count)] = read_request_log(spec.request_log).failures.items()
    assert found.startswith(failure)
    assert count == 12


def test_run_load_tells_how_far_it_is(spec: LoadSpec) -> None:
    seen: list[int] = []
    run_load(replace(spec, writes=2_000), seen.append)
    assert seen == sorted(seen)
    assert len(set(seen)) > 2
    assert 0 <= seen[0] < seen[-1] <= 2_000


def test_run_load_fails_when_locust_does(spec: LoadSpec) -> None:
    with pytest.raises(LoadError, match=r"code 1: .*refused write quorum 9: .*; see .*locust\.log"):
        run_load(replace(spec, write_quorum=9), lambda _: None)


def test_a_master_and_two_workers_make_exactly_the_writes(
    spec: LoadSpec, cluster: LocalCluster, leader: Node
) -> None:
    before = leader.status().last_index
    shared = replace(spec, writes=501, workers=2)
    seen: list[int] = []
    run_load(shared, seen.append)
    assert leader.status().last_index - before == 501
    assert WritePlan.of(shared).why_not_in(leader.copy(), before) == []
    assert leader.status().write_quorum == spec.write_quorum
    log = read_request_log(spec.request_log)
    assert len(log.latency_ms) == 501
    assert why_disagreeing(read_locust_totals(spec.stats_csv), log) is None
    assert seen[-1] == 501
    assert set(FollowerLag.load(spec.lag_report).lag_entries) == {
        follower.address for follower in cluster.followers
    }


def test_workers_that_were_started_elsewhere_make_one_load_after_the_other(
    spec: LoadSpec, leader: Node
) -> None:
    (port,) = free_ports(1)
    locust = f"{sys.executable} -m locust --worker --master-host 127.0.0.1 --master-port {port}"
    forever = ["sh", "-c", f"while sleep 0.2; do {locust}; done"]
    with ExitStack() as stack:
        for _ in range(2):
            worker = subprocess.Popen(
                forever, cwd=REPO_ROOT, start_new_session=True, stderr=subprocess.DEVNULL
            )
            stack.callback(worker.wait)
            stack.callback(os.killpg, worker.pid, signal.SIGKILL)
        for number in range(2):
            before = leader.status().last_index
            remote = replace(
                spec, writes=501, workers=2, join_port=port, key_prefix=f"remote{number}-"
            )
            assert run_load(remote, lambda _: None) is None
            assert leader.status().last_index - before == 501
            assert WritePlan.of(remote).why_not_in(leader.copy(), before) == []


@pytest.mark.parametrize("kill_signal", [signal.SIGKILL, signal.SIGSTOP])
def test_a_worker_that_is_lost_fails_the_load(spec: LoadSpec, kill_signal: signal.Signals) -> None:
    """Its writes are missing, or their outcome is open; the other workers end, too."""
    shared = replace(spec, writes=1_000_000, workers=2)

    def workers() -> list[psutil.Process]:
        return [
            child
            for child in psutil.Process().children()
            if child.status() != psutil.STATUS_ZOMBIE and "--worker" in child.cmdline()
        ]

    def lose_a_worker(answered: int) -> None:
        if answered > 0 and len(workers()) == 2:
            workers()[0].send_signal(kill_signal)

    with pytest.raises(LoadError, match="lost a worker in the middle of its share"):
        run_load(shared, lose_a_worker)
    assert workers() == []


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_load_that_is_stopped_early_ends_with_an_error(
    spec: LoadSpec, leader: Node, stop_signal: signal.Signals
) -> None:
    before = leader.status().last_index
    with heeding_interrupts():
        process = subprocess.Popen(
            replace(spec, writes=1_000_000).commands()[0],
            cwd=REPO_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        wait_for_status(leader, last_index=at_least(before + 1))
        process.send_signal(stop_signal)
        output, _ = process.communicate(timeout=TIMEOUT_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 1
    assert "of 1000000 writes" in output


def test_a_kept_connection_with_a_high_descriptor_is_used_again() -> None:
    program = """if True:
        import locustfile, os, socket
        from geventhttpclient.connectionpool import ConnectionPool
        ours, theirs = socket.socketpair()
        os.dup2(ours.fileno(), 2000)
        kept = socket.socket(fileno=2000)
        for end in (ours, theirs):
            print(ConnectionPool("h", 1, "h", 1)._is_socket_alive(kept))
            theirs.close()
    """
    printed = subprocess.check_output(
        [sys.executable, "-c", program], cwd=REPO_ROOT, text=True, timeout=TIMEOUT_S
    )
    assert printed.split() == ["True", "False"]


def test_ten_thousand_users_with_one_write_each_lose_no_write(
    spec: LoadSpec, tmp_path: Path
) -> None:
    users = 10_000
    with descriptors(users + 500), LocalCluster(2, tmp_path / "nodes", PATIENT) as cluster:
        many = replace(spec, leader_url=cluster.leader.url, writes=users, users=users, keys=100)
        done = run_locust(many)
        assert done.returncode == 0, done.stdout
        # The reign's first entry, and the writes.
        assert cluster.leader.status().last_index == 1 + users
    assert len(read_request_log(many.request_log).latency_ms) == users
