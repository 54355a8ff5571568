"""A small whole study, as ``python -m analysis`` runs it."""

import csv
import os
import re
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
from analysis.study.results import Results
from analysis.study.summary import theory_of
from tests.support.inherited_signals import heeding_interrupts

TIMEOUT_S = 240.0
SMALL = [
    *("--writes=250", "--idle-writes=20", "--keys=10", "--warm-up-writes=20", "--users=5"),
    *("--repeats=1", "--quorums=1,5"),
]
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
    """It makes all runs, finds all copies equal, clears away what was there, and draws again."""
    (tmp_path / "report.md").write_text("of an earlier study", encoding="utf-8")
    (tmp_path / "runs" / "loaded-w9-r9").mkdir(parents=True)
    done = run_study(tmp_path, "--repeats=2")
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.load(tmp_path)
    assert results.passed
    assert len(results.runs) == 2 * 2 * 3
    for data in results.runs:
        assert len(data.log.latency_ms) == data.run.writes(results.study.settings)
        assert data.waits.complete.all()
        assert len(data.result.followers) == 5
        assert all(follower.problem is None for follower in data.result.followers)
        assert data.result.cpu is not None
        if not data.run.is_idle:  # the few writes of an idle run take less than the clock's ticks
            assert data.result.cpu.leader_s > data.result.cpu.follower_s > 0
        commit_ms = data.result.commit_ms
        assert (commit_ms is not None and 0 < commit_ms < 1000) is data.run.is_idle
        assert (data.staleness.reads > 0) is not data.run.is_idle
    assert not (tmp_path / "runs" / "loaded-w9-r9").exists()
    delays = theory_of(results)
    assert delays is not None
    assert delays.delay_only[1].mean < delays.delay_only[5].mean

    assert "Check passed: all copies are equal, and every write is there." in done.stdout
    ended = [line for line in done.stderr.splitlines() if " of 8: " in line]
    assert len(ended) == 8, done.stderr
    assert re.fullmatch(
        r"8 of 8: [a-z ]+, W=[15a-z ]+, repeat 2: \d+ of \d+ writes, \d+/s; 00:00 left", ended[-1]
    )
    rows = summary_rows(tmp_path)
    assert [row["write_quorum"] for row in rows if row["regime"] == "loaded"] == ["1", "5"]
    picture = tmp_path / "pictures" / "quorum_latency.png"
    assert picture.read_bytes().startswith(PNG_SIGNATURE)
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert "**Check passed.**" in text
    assert "of an earlier study" not in text

    picture.unlink()
    page = (tmp_path / "report.html").read_bytes()
    again = analyse("plot", tmp_path)
    assert again.returncode == 0, again.stderr
    assert picture.exists()
    assert (tmp_path / "report.html").read_bytes() == page
    compared = analyse("compare", tmp_path, tmp_path)
    assert compared.returncode == 0, compared.stderr
    assert "No figure differs for certain: every interval holds 1." in compared.stdout


def analyse(*words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "analysis", *map(str, words)]
    return subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)


def test_a_slow_and_a_stopped_follower(tmp_path: Path) -> None:
    """The quorums that need the follower notice, and the cluster is whole again afterwards."""
    done = run_study(tmp_path, "--full", "--idle-writes=5")
    assert done.returncode == 0, done.stdout + done.stderr
    results = Results.load(tmp_path)
    (slow_one, slow_all), (down_one, down_all) = (
        results.of(regime) for regime in ("slow_follower", "follower_down")
    )
    assert slow_one.log.latency_ms.mean() < slow_all.log.latency_ms.mean()
    assert slow_all.log.latency_ms.min() > 20
    assert (len(down_one.log.latency_ms), down_one.log.failed) == (250, 0)
    assert down_all.log.failed > 0
    assert all(f.problem is None for f in down_all.result.followers), "it has caught up"


@pytest.mark.parametrize("words", [["plot"], ["plot", "a", "b"], ["compare", "a"]])
def test_wrong_words_are_answered_with_the_usage(words: list[str]) -> None:
    done = analyse(*words)
    assert done.returncode == 2
    assert f"usage: python -m analysis {words[0]} FOLDER" in done.stderr


def test_a_folder_without_a_study_is_said_to_be_so(tmp_path: Path) -> None:
    for words in (["plot"], ["compare", str(tmp_path)]):
        done = analyse(*words, tmp_path)
        assert done.returncode == 1
        assert f"cannot read {tmp_path / 'study.json'}" in done.stderr


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
    assert cluster.leader.status().last_index == 1 + 20 + 250 + 20
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
    # Writes go on at W=1 without it: there are figures, and they are those of a failed check.
    assert Results.load(output).runs
    assert "runs were not made" in report


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
            logs = list(tmp_path.glob("runs/loaded-*/requests.csv"))
            return None if logs else "no load has begun"

        wait_until(why_not, TIMEOUT_S)
        children = psutil.Process(study.pid).children(recursive=True)
        assert len(children) >= 6 * 2 + 1
        os.kill(study.pid, stop_signal)
        assert study.wait(TIMEOUT_S) == 128 + stop_signal
        _, alive = psutil.wait_procs(children, timeout=60)
        assert alive == []
        assert "interrupted: only the runs that had ended" in Results.load(tmp_path).problems[-1]
    finally:
        study.kill()
        study.wait()
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
