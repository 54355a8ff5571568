"""The machine and the versions a measurement belongs to."""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from analysis.nodes.node import REPO_ROOT

PACKAGES = ("flask", "gunicorn", "gevent", "geventhttpclient", "locust", "numpy", "matplotlib")


@dataclass(frozen=True)
class Machine:
    """Where a study ran.

    :param processor: model name of the processor.
    :param cores: cores this process may use.
    :param memory_gib: main memory in GiB, ``None`` when unknown.
    :param system: operating system and kernel.
    :param load_average: average number of runnable processes over the minute before the study;
        above 0 something else was running too.
    :param python: version of Python.
    :param packages: version by package.
    :param commit: commit of the repository, with ``+`` when files differ from it; ``None`` outside
        of a repository.
    """

    processor: str
    cores: int
    memory_gib: float | None
    system: str
    load_average: float
    python: str
    packages: dict[str, str]
    commit: str | None


def describe_machine() -> Machine:
    """Collect these facts about this machine."""
    return Machine(
        processor=_field("/proc/cpuinfo", "model name") or platform.processor() or "unknown",
        cores=len(os.sched_getaffinity(0)),
        memory_gib=_memory_gib(),
        system=platform.platform(),
        load_average=os.getloadavg()[0],
        python=platform.python_version(),
        packages={package: version(package) for package in PACKAGES},
        commit=_commit(),
    )


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    found = (line.partition(":")[2].strip() for line in lines if line.startswith(name))
    return next(found, None)


def _memory_gib() -> float | None:
    text = _field("/proc/meminfo", "MemTotal")
    return int(text.split()[0]) / 1024**2 if text else None


def _commit() -> str | None:
    git = shutil.which("git")
    if git is None:
        return None

    def run(*arguments: str) -> str | None:
        done = subprocess.run(
            [git, *arguments], cwd=REPO_ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if done.returncode == 0 else None

    commit = run("rev-parse", "--short", "HEAD")
    return f"{commit}+" if commit and run("status", "--porcelain") else commit
