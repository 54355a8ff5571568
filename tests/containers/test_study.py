"""The load and the analysis inside Compose."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from tests.containers.compose import REPOSITORY, ComposeProject

SOMEBODY = 12_345
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def test_study_draws_the_plot_of_the_cluster(cluster: ComposeProject, tmp_path: Path) -> None:
    cluster.compose("build", "study")
    clone = tmp_path / "clone"
    clone.mkdir()
    compose_file = Path(shutil.copy(REPOSITORY / "docker-compose.yml", clone))
    if os.geteuid() == 0:
        # Else the owner of the results could be root by mistake, and nobody would notice.
        os.chown(compose_file, SOMEBODY, SOMEBODY)

    options = ("--quorums", "1,5", "--writes", "40", "--keys", "10", "--warm-up-writes", "10")
    replace(cluster, directory=clone).compose("run", "--rm", "--no-TTY", "study", *options)

    results = clone / "results"
    plots = list(results.rglob("*.png"))
    assert plots
    assert all(plot.read_bytes().startswith(PNG_SIGNATURE) for plot in plots)
    owner = compose_file.stat().st_uid
    assert {path.stat().st_uid for path in (results, *results.rglob("*"))} == {owner}
    cluster.wait_for_replication()
