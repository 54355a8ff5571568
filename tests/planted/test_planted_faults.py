"""Every planted fault is caught by the test that the table names."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.planted.faults import FAULTS, SIMULATOR, PlantedFault

ROOT = Path(__file__).parents[2]
TABLE = ROOT / "docs" / "TESTING.md"
TREES = ("kvstore", "analysis", "tests")
FILES = ("wsgi.py", "gunicorn.conf.py", "locustfile.py", "pyproject.toml")
SCHEDULES = 6000
SECONDS = 120


@pytest.fixture
def copy_of_the_tree(tmp_path: Path) -> Path:
    for tree in TREES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / tree, tmp_path / tree, ignore=ignored)
    for file in FILES:
        shutil.copy(ROOT / file, tmp_path / file)
    return tmp_path


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_planted_fault_is_caught(fault: PlantedFault, copy_of_the_tree: Path) -> None:
    plant(fault, copy_of_the_tree)
    code, output = run_catcher(fault, copy_of_the_tree)
    assert code == 1, f"not caught:\n{output}"
    assert ("violated: " if fault.caught_by == SIMULATOR else " failed") in output


def plant(fault: PlantedFault, tree: Path) -> None:
    path = tree / "kvstore" / fault.file
    source = path.read_text("utf-8")
    assert source.count(fault.old) == 1, "the fault's place in the source has changed"
    path.write_text(source.replace(fault.old, fault.new), "utf-8")


def run_catcher(fault: PlantedFault, tree: Path) -> tuple[int, str]:
    if fault.caught_by == SIMULATOR:
        bounds = [f"--schedules={SCHEDULES}", f"--seconds={SECONDS}"]
        words = ["tests.simulation", "--seed=1", *bounds, "--max-failures=1"]
    else:
        words = ["pytest", "-q", "-x", "-p", "no:cacheprovider", fault.caught_by]
    done = subprocess.run(
        [sys.executable, "-m", *words],
        cwd=tree,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_the_table_in_the_docs_is_this_list() -> None:
    rows = [line for line in TABLE.read_text("utf-8").splitlines() if ".py` |" in line]
    assert rows == [row(fault) for fault in FAULTS]


def row(fault: PlantedFault) -> str:
    catcher = "the simulator" if fault.caught_by == SIMULATOR else f"`{fault.caught_by}`"
    return f"| {fault.name} | `{fault.file}` | {catcher} |"
