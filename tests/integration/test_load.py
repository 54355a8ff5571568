"""Locust, headless, as its own process, against real nodes."""

import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from threading import Thread

import psutil
import pytest

from analysis.nodes.convergence import check_copies
from analysis.nodes.errors import LoadError
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import REPO_ROOT, Node
from analysis.study.follower_lag import FollowerLag
from analysis.study.latency import read_request_log
from analysis.study.load import LoadSpec, run_load
from analysis.study.locust_totals import read_locust_totals, why_disagreeing
from analysis.study.write_plan import WritePlan
from tests.support.inherited_signals import heeding_interrupts
from tests.support.waiting import at_least, wait_for_status

TIMEOUT_S = 120.0
FOLLOWERS = 3


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCluster]:
    """At the end all nodes hold the same."""
    with LocalCluster(FOLLOWERS, tmp_path_factory.mktemp("nodes")) as cluster:
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
        [*spec.command(), *options],
        cwd=REPO_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def last_index(leader: Node) -> int:
    return int(leader.status().last_index)


def test_exactly_the_writes_arrive_and_the_files_tell_of_them(
    spec: LoadSpec, cluster: LocalCluster, leader: Node
) -> None:
    before = last_index(leader)
    done = run_locust(spec)
    assert done.returncode == 0, done.stdout
    assert last_index(leader) - before == spec.writes
    assert leader.status().write_quorum == spec.write_quorum
    plan = WritePlan(spec.writes, spec.keys, spec.key_prefix, spec.seed)
    assert plan.why_not_in(leader.copy(), before) == []
    ours = {key for key in leader.copy().store if key.startswith(spec.key_prefix)}
    assert ours == set(plan.values_by_key())

    log = read_request_log(spec.request_log)
    assert len(log.response_ms) == spec.writes
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
    before = last_index(leader)
    done = run_locust(replace(spec, writes=9, users=users), f"--spawn-rate={spawn_rate}")
    assert done.returncode == 0, done.stdout
    assert last_index(leader) - before == 9


def test_without_a_quorum_the_leaders_own_stays(spec: LoadSpec, leader: Node) -> None:
    leader.set_quorum(3)
    assert run_locust(replace(spec, writes=5), "--write-quorum=").returncode == 0
    assert leader.status().write_quorum == 3


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--write-quorum=4", "the leader refused write quorum 4: HTTP 400"),
        ("--keys=0", "keys must be 1 or more"),
        ("--users=100000000", "need more open files"),
        ("--worker", "counts its writes in one process"),
    ],
)
def test_a_load_that_cannot_start_says_why_and_writes_nothing(
    spec: LoadSpec, leader: Node, option: str, message: str
) -> None:
    before = last_index(leader)
    done = run_locust(spec, option)
    assert done.returncode != 0
    assert message in done.stdout
    assert last_index(leader) == before


def test_an_unreachable_leader_ends_the_load_with_an_error(spec: LoadSpec) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    done = run_locust(replace(spec, leader_url=f"http://127.0.0.1:{port}"))
    assert done.returncode != 0
    assert "cannot start the load" in done.stdout


def test_refused_writes_end_the_load_with_an_error(spec: LoadSpec, tmp_path: Path) -> None:
    with LocalCluster(2, tmp_path / "nodes") as damaged:
        damaged.followers[0].crash()
        lonely = replace(spec, leader_url=damaged.leader.url, writes=30)
        done = run_locust(lonely)
    assert done.returncode == 1, done.stdout
    log = read_request_log(lonely.request_log)
    assert len(log.response_ms) + log.failed == 30
    assert set(log.failures) <= {"HTTP 503: not enough followers", "HTTP 504: quorum not reached"}
    assert log.failed > 0


@contextmanager
def talking_server(answer: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """Give every request this answer and close; collect the request lines."""
    request_lines: list[bytes] = []

    def serve(server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                request_lines.append(connection.recv(65_536).split(b"\r\n")[0])
                connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        thread = Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", request_lines
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


HEAD = b"HTTP/1.1 %b\r\nContent-Length: %d\r\nConnection: close\r\n"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", "no answer: the outcome is open"),
        (
            HEAD % (b"200 OK", 15) + b'\r\n{"status":"ok"}',
            "HTTP 200 with a wrong key, version, replicas_confirmed",
        ),
        (HEAD % (b"307 X", 0) + b"Location: /put/z\r\n\r\n", "HTTP 307"),
    ],
    ids=["a lost connection", "a wrong answer with status 200", "a redirect"],
)
def test_what_is_a_failed_write_and_not_sent_again(
    spec: LoadSpec, answer: bytes, failure: str
) -> None:
    with talking_server(answer) as (url, request_lines):
        done = run_locust(
            replace(spec, leader_url=url, writes=12), "--write-quorum=", "--lag-report="
        )
    assert done.returncode == 1, done.stdout
    assert sum(line.split()[1].startswith(b"/put/") for line in request_lines) == 12
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
    with pytest.raises(LoadError, match=r"Locust exited with code 1; see .*locust\.log"):
        run_load(replace(spec, write_quorum=9), lambda _: None)


def test_run_load_leaves_no_process_when_it_is_interrupted(spec: LoadSpec) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_load(replace(spec, writes=1_000_000), interrupt)
    commands = [child.cmdline() for child in psutil.Process().children()]
    assert not any("locust" in command for command in commands)


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_load_that_is_stopped_early_ends_with_an_error(
    spec: LoadSpec, leader: Node, stop_signal: signal.Signals
) -> None:
    before = last_index(leader)
    with heeding_interrupts():
        process = subprocess.Popen(
            replace(spec, writes=1_000_000).command(),
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


HIGH_DESCRIPTOR = """
import os, resource, socket
import locustfile
from geventhttpclient.connectionpool import ConnectionPool
import gevent.socket
pool = ConnectionPool("h", 1, "h", 1)
ours, theirs = socket.socketpair()
high = 2000
os.dup2(ours.fileno(), high)
sock = gevent.socket.socket(fileno=high)
print(pool._is_socket_alive(sock))
theirs.close()
print(pool._is_socket_alive(sock))
"""


def test_a_kept_connection_with_a_high_descriptor_is_used_again() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HIGH_DESCRIPTOR],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.split() == ["True", "False"]


def test_ten_thousand_users_with_one_write_each_lose_no_write(
    spec: LoadSpec, tmp_path: Path
) -> None:
    users = 10_000
    _, hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard_limit < users + 500:
        pytest.skip(f"this process may open only {hard_limit} files, {users} users need more")
    # A slow machine may need more than the usual 2 s for the queue that so many make at once.
    patient = {"REPL_TIMEOUT": "50"}
    with LocalCluster(2, tmp_path / "nodes", patient) as cluster:
        many = replace(spec, leader_url=cluster.leader.url, writes=users, users=users, keys=100)
        done = run_locust(many)
        assert done.returncode == 0, done.stdout
        assert last_index(cluster.leader) == 1 + users, "the reign's first entry, and the writes"
    assert len(read_request_log(many.request_log).response_ms) == users
