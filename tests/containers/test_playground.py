"""The live page, inside Compose, on the cluster there."""

import json

import requests

from analysis.nodes.waiting import wait_until
from tests.containers.compose import NODES, PLAY, ComposeProject

TIMEOUT_S = 60.0


def test_the_live_page_shows_and_sets_the_cluster(cluster: ComposeProject) -> None:
    cluster.compose("--profile", PLAY, "up", "--build", "--detach", PLAY)
    page = f"http://127.0.0.1:{cluster.ports[PLAY]}"

    def why_not_shown() -> str | None:
        with requests.get(f"{page}/frames", stream=True, timeout=5) as frames:
            lines = frames.iter_lines(chunk_size=1)
            frame = next(json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        silent = [node["name"] for node in frame["nodes"] if node["status"] is None]
        assert len(frame["nodes"]) == len(NODES)
        confirmed = sum(second["confirmed"] for second in frame["history"])
        return f"{silent}, {confirmed} writes" if silent or not confirmed else None

    try:
        wait_until(why_not_shown, TIMEOUT_S)
        done = requests.post(f"{page}/quorum", json={"size": 4}, timeout=30)
        assert done.json()["command"].endswith("quorum 4"), done.text
        assert cluster.node("leader").status().write_quorum == 4
        assert requests.post(f"{page}/calm", json={}, timeout=30).status_code == 200
        refused = requests.post(f"{page}/nodes/leader/kill", json={}, timeout=30)
        assert refused.status_code == 409
    finally:
        cluster.compose("rm", "--stop", "--force", PLAY)
    cluster.wait_for_replication()
