"""A short fault campaign on real nodes, with a seed that never changes and with a new one."""

import random
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from analysis.nodes.node import REPO_ROOT
from tests.chaos.__main__ import INTERRUPTED
from tests.chaos.campaign import plan, run
from tests.chaos.fault import LEADER
from tests.chaos.history import History, save_history
from tests.chaos.judgement import judge, verdict_lines
from tests.support.waiting import wait_until

FIXED_SEED = 3454  # its schedule has nearly every kind of fault, and most of them on followers too
FRESH_SEED = random.randrange(1_000_000)
SECONDS = 20.0


def _run_campaign(seed: int, directory: Path, capsys: pytest.CaptureFixture[str]) -> History:
    campaign = plan(seed=seed, seconds=SECONDS, followers=3)
    with capsys.disabled():
        print(f"\nfault campaign: {campaign.command}", flush=True)
    history = run(campaign, directory, lambda *_: None)
    path = directory / "history.json"
    save_history(history, path)
    judgement = judge(history)
    verdict = "\n".join(verdict_lines(history, judgement))
    assert judgement.passed, f"{verdict}\nhistory: {path}\nrepeat with: {campaign.command}"
    return history


def test_a_campaign_with_the_fixed_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = _run_campaign(FIXED_SEED, tmp_path, capsys)
    emptied = {node for fault in history.campaign.schedule for node in fault.emptied}
    assert LEADER in emptied, "the leader's directory is to be deleted"
    assert emptied - {LEADER}, "a follower's directory is to be deleted"
    assert history.emptied, "no copy could be spared at any time"


def test_a_campaign_with_a_fresh_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _run_campaign(FRESH_SEED, tmp_path, capsys)


def processes_with_tmpdir(directory: Path) -> list[psutil.Process]:
    """The running processes whose environment has this directory; it is handed down to nodes."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get("TMPDIR") == str(directory):
                found.append(process)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_campaign_leaves_nothing_behind(
    tmp_path: Path, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, shown = tmp_path / "scratch", tmp_path / "shown"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    command = [sys.executable, "-m", "tests.chaos", "--seconds", "300", "--followers", "2"]
    with (
        shown.open("wb") as stderr,
        subprocess.Popen(
            command, cwd=REPO_ROOT, stdout=subprocess.DEVNULL, stderr=stderr
        ) as process,
    ):
        try:
            wait_until(
                lambda: None if b"confirmed" in shown.read_bytes() else "nothing is confirmed", 60.0
            )
            wait_until(
                lambda: (
                    None
                    if len(processes_with_tmpdir(scratch)) > 3
                    else "the campaign and its three nodes do not all run"
                )
            )
            process.send_signal(number)
            assert process.wait(60.0) == INTERRUPTED
        finally:
            process.kill()
    wait_until(lambda: f"left: {left}" if (left := processes_with_tmpdir(scratch)) else None)
    assert list(scratch.iterdir()) == []
