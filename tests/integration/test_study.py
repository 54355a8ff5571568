"""A small whole study, as ``python -m analysis`` runs it."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import psutil
import pytest

from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import REPO_ROOT
from analysis.nodes.waiting import wait_until
from analysis.study.latency import read_request_log
from tests.support.inherited_signals import heeding_interrupts

TIMEOUT_S = 240.0
SMALL = ["--writes=250", "--keys=10", "--warm-up-writes=20", "--users=5"]
LONG = "--writes=2000"
"""Something can be done to the nodes in the middle of so many."""
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def study_command(output: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "analysis", f"--output={output}", *SMALL, *options]


def run_study(output: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        study_command(output, *options),
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def summary_rows(output: Path) -> list[dict[str, str]]:
    with (output / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_whole_study_on_local_nodes(tmp_path: Path) -> None:
    """It measures every quorum, finds all copies equal, and clears away what was there."""
    report = tmp_path / "report.md"
    report.write_text("of an earlier study", encoding="utf-8")
    (tmp_path / "quorum_9").mkdir()
    done = run_study(tmp_path, "--warm-up-writes=0")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = summary_rows(tmp_path)
    assert [row["write_quorum"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {row["writes"] for row in rows} == {"250"}
    assert {row["copies_equal"] for row in rows} == {"1"}
    assert {row["problems"] for row in rows} == {"0"}
    assert all(float(row["leader_cpu_s"]) > float(row["follower_cpu_s"]) > 0 for row in rows)
    for quorum in range(1, 6):
        folder = tmp_path / f"quorum_{quorum}"
        assert len(read_request_log(folder / "requests.csv").response_ms) == 250
        assert (folder / "locust_stats.csv").exists()
        assert (folder / "lag.json").exists()
    assert not (tmp_path / "quorum_9").exists()

    assert "Check passed: all copies are equal, and every write is there." in done.stdout
    header = next(line for line in done.stdout.splitlines() if "average" in line)
    assert header.split()[:2] == ["W", "average"]
    assert "1,250/1,250 writes" in done.stderr
    assert "(5 of 5)" in done.stderr
    assert (tmp_path / "quorum_latency.png").read_bytes().startswith(PNG_SIGNATURE)
    assert "write quorum W" in (tmp_path / "quorum_latency.svg").read_text(encoding="utf-8")
    text = report.read_text(encoding="utf-8")
    assert "**Check passed.**" in text
    assert "](quorum_latency.png)" in text
    assert "of an earlier study" not in text


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[LocalCluster]:
    with LocalCluster(
        3, tmp_path / "nodes", {"WRITE_QUORUM": "2", "REPL_TIMEOUT": "50"}
    ) as cluster:
        yield cluster


def of_running(cluster: LocalCluster) -> list[str]:
    followers = ",".join(follower.url for follower in cluster.followers)
    return [f"--leader={cluster.leader.url}", f"--followers={followers}"]


def test_a_running_cluster_is_studied_and_keeps_its_quorum(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    done = run_study(tmp_path / "out", *of_running(cluster), "--quorums=3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert cluster.leader.status().write_quorum == 2
    assert cluster.leader.status().last_index == 1 + 250 + 20
    assert all(node.is_running for node in cluster.nodes)


def test_a_follower_that_dies_before_the_study_fails_it(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    command = of_running(cluster)
    cluster.followers[1].crash()
    done = run_study(tmp_path / "out", *command, "--quorums=1")
    assert done.returncode == 1
    report = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "**Check failed: nothing was measured**" in report
    assert cluster.followers[1].url in report


def disturbed_study(
    cluster: LocalCluster, output: Path, disturb: Callable[[], object], *options: str
) -> str:
    """Disturb a study in the middle of a load, which must fail it; returns its report."""
    command = study_command(output, *of_running(cluster), LONG, *options)

    def why_not() -> str | None:
        assert study.poll() is None, "the study ended before its load began"
        last_index = cluster.leader.status().last_index
        return None if last_index >= 20 + 100 else f"the last index is {last_index}"

    with subprocess.Popen(command, cwd=REPO_ROOT, stdout=subprocess.DEVNULL) as study:
        try:
            wait_until(why_not, TIMEOUT_S)
            disturb()
            assert study.wait(TIMEOUT_S) == 1
        finally:
            study.kill()
    return (output / "report.md").read_text(encoding="utf-8")


def test_a_follower_that_dies_during_the_study_fails_it(
    cluster: LocalCluster, tmp_path: Path
) -> None:
    follower, output = cluster.followers[2], tmp_path / "out"
    options = "--quorums=1,2", "--converge-timeout-s=1"
    report = disturbed_study(cluster, output, follower.crash, *options)
    assert "**Check failed.**" in report
    assert f"{follower.url}: no copy" in report
    # Writes go on at W=1 without it: there is a curve, and it is marked as that of a failed check.
    assert [row["copies_equal"] for row in summary_rows(output)] == ["0"]
    assert "not measured" in report


def test_writes_of_somebody_else_are_noticed(cluster: LocalCluster, tmp_path: Path) -> None:
    write = partial(cluster.leader.put, "other", 1)
    report = disturbed_study(cluster, tmp_path / "out", write, "--quorums=1")
    assert "the leader's log grew by 2001 entries, not by 2000" in report


@pytest.mark.parametrize("stop_signal", [signal.SIGTERM, signal.SIGINT])
def test_a_study_that_is_stopped_leaves_no_process(
    tmp_path: Path, stop_signal: signal.Signals
) -> None:
    with heeding_interrupts():
        study = subprocess.Popen(
            study_command(tmp_path, "--writes=1000000"),
            cwd=REPO_ROOT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    children: list[psutil.Process] = []
    try:

        def why_not() -> str | None:
            logs = list(tmp_path.glob("quorum_*/requests.csv"))
            return None if logs else "no load has begun"

        wait_until(why_not, TIMEOUT_S)
        children = psutil.Process(study.pid).children(recursive=True)
        assert len(children) >= 6 * 2 + 1
        os.kill(study.pid, stop_signal)
        assert study.wait(TIMEOUT_S) == 128 + stop_signal
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == []
    finally:
        study.kill()
        study.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
