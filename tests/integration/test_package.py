"""The wheel, in an environment that has only what it asks for."""

import json
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import REPO_ROOT, Node
from tests.conftest import StartCluster


def needed(requirements: list[str], extra: str = "") -> set[str]:
    """The distributions that these requirements lead to."""
    found: set[str] = set()
    waiting = [(Requirement(each), extra) for each in requirements]
    while waiting:
        requirement, chosen = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate({"extra": chosen}):
            continue
        if canonicalize_name(requirement.name) in found:
            continue
        found.add(canonicalize_name(requirement.name))
        for extra_of_it in requirement.extras or {""}:
            waiting += [
                (Requirement(each), extra_of_it)
                for each in distribution(requirement.name).requires or []
            ]
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=REPO_ROOT,
        check=True,
        capture_output=True,
    )
    [found] = folder.glob("*.whl")
    return found


def environment(folder: Path, wheel: Path, extra: str) -> Path:
    """A virtual environment with the wheel and what it needs, all of it copied from this one.

    :return: its Python.
    """
    venv.create(folder, with_pip=False)
    [packages] = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    [metadata] = packages.glob("kvstore-*.dist-info/METADATA")
    lines = metadata.read_text("utf-8").splitlines()
    asked = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist")]
    for name in needed(asked, extra):
        for file in distribution(name).files or []:
            source = Path(str(file.locate()))
            if ".." in file.parts or not source.is_file():
                continue
            target = packages / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(source)
    return folder / "bin" / "python"


def run(python: Path, *words: str) -> str:
    """Run the environment's Python, where nothing of this clone can be imported."""
    done = subprocess.run(
        [python, "-P", *words], cwd=python.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 2), done.stderr
    return done.stdout + done.stderr


def test_the_wheel_brings_client_and_command_line_only(
    wheel: Path, start_cluster: StartCluster, tmp_path: Path
) -> None:
    python = environment(tmp_path / "venv", wheel, "")
    cluster = start_cluster(1)
    kvstore = ("-m", "kvstore", "--url", cluster.followers[0].url)
    run(python, *kvstore, "put", "k", "1")
    assert json.loads(run(python, *kvstore, "get", "k", "--json"))["value"] == 1
    assert "2 copies are equal" in run(python, *kvstore, "verify")
    assert "clone the repository" in run(python, *kvstore, "study")
    assert run(python, *kvstore, "--version").startswith("kvstore, version 0.1.0")
    find = (
        "from importlib.util import find_spec as f; print(f('flask'), f('gevent'), f('analysis'))"
    )
    assert run(python, "-c", find) == "None None None\n"


def test_the_wheel_with_node_runs_a_node(wheel: Path, tmp_path: Path) -> None:
    class WheelNode(Node):
        @property
        def command(self) -> list[str]:
            gunicorn = "gunicorn --config python:kvstore.gunicorn_conf kvstore.wsgi:app"
            return ["sh", "-c", f"cd {tmp_path} && exec {python} -P -m {gunicorn}"]

    python = environment(tmp_path / "venv", wheel, "node")
    with LocalCluster(1, tmp_path / "logs", kind=WheelNode) as cluster:
        assert cluster.leader.put_confirmed("k", 1) > 0
        assert "flask" in run(python, "-c", "import flask, kvstore.app; print(flask.__name__)")
