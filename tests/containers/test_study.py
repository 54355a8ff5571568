"""The study, and the load with its page and workers, inside Compose."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import requests

from analysis.nodes.waiting import wait_until
from tests.containers.compose import LOAD, REPOSITORY, ComposeProject

SOMEBODY = 12_345
TIMEOUT_S = 60.0
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_study_draws_the_plot_of_the_cluster(cluster: ComposeProject, tmp_path: Path) -> None:
    cluster.compose("build", "study")
    clone = tmp_path / "clone"
    clone.mkdir()
    compose_file = Path(shutil.copy(REPOSITORY / "docker-compose.yml", clone))
    if os.geteuid() == 0:
        # Else the owner of the results could be root by mistake, and nobody would notice.
        os.chown(compose_file, SOMEBODY, SOMEBODY)

    few = ("--writes", "40", "--idle-writes", "10", "--keys", "10", "--warm-up-writes", "10")
    options = ("--quorums", "1,5", "--repeats", "1", *few)
    replace(cluster, directory=clone).compose("run", "--rm", "--no-TTY", "study", *options)

    results = clone / "results"
    pictures = list(results.rglob("*.png"))
    assert pictures
    assert all(picture.read_bytes().startswith(PNG_SIGNATURE) for picture in pictures)
    assert "**Check passed.**" in (results / "report.md").read_text(encoding="utf-8")
    owner = compose_file.stat().st_uid
    assert {path.stat().st_uid for path in (results, *results.rglob("*"))} == {owner}
    cluster.wait_for_replication()


def test_a_load_is_started_on_the_page_and_made_by_two_workers(cluster: ComposeProject) -> None:
    workers = ("--scale", "load-worker=2", "load", "load-worker")
    cluster.compose("--profile", LOAD, "up", "--build", "--detach", *workers)
    page = f"http://127.0.0.1:{cluster.ports[LOAD]}"

    def why_not_ready() -> str | None:
        count = requests.get(f"{page}/worker-count", timeout=5).json()["worker_count"]
        return None if count == 2 else f"{count} workers are ready"

    def why_not_stopped() -> str | None:
        state = requests.get(f"{page}/stats/requests", timeout=5).json()["state"]
        return None if state == "stopped" else f"the run is {state}"

    try:
        wait_until(why_not_ready, TIMEOUT_S)
        before = cluster.node("leader").status().last_index
        form = {"user_count": 6, "spawn_rate": 6, "writes": 301, "write_quorum": 5}
        started = requests.post(f"{page}/swarm", data=form, timeout=30)
        assert started.json()["success"], started.text
        wait_until(why_not_stopped, TIMEOUT_S)
        assert cluster.node("leader").status().last_index == before + 301
        picture = requests.get(f"{page}/picture.png", timeout=30)
        assert picture.content.startswith(PNG_SIGNATURE), picture.text
    finally:
        cluster.compose("rm", "--stop", "--force", "load", "load-worker")
    cluster.wait_for_replication()
