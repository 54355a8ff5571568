"""What a study is asked to do."""

import argparse
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from analysis.nodes.node import REPO_ROOT

DelayRange = tuple[float, float]
"""Shortest and longest simulated delay, in milliseconds."""

LOCAL_FOLLOWERS = 5
DEFAULT_DELAY_MS: DelayRange = (0.1, 1.0)

PRESETS: dict[str, dict[str, Any]] = {
    "default": {
        "quorums": (1, 2, 3, 4, 5), "repeats": 5, "writes": 1000, "idle_writes": 150,
        "warm_up_writes": 1000,
    },
    "quick": {
        "quorums": (1, 3, 5), "repeats": 3, "writes": 200, "idle_writes": 40,
        "warm_up_writes": 200,
    },
    "full": {
        "quorums": (1, 2, 3, 4, 5), "repeats": 7, "writes": 10_000, "idle_writes": 400,
        "warm_up_writes": 2000,
    },
}  # fmt: skip
"""What is not given on the command line."""


class StudySettings(Struct, frozen=True, kw_only=True):
    """One study.

    :param leader_url: leader of a running cluster; ``None`` = start local nodes.
    :param follower_urls: all its followers; empty = start local nodes.
    :param quorums: write quorums to measure, distinct.
    :param repeats: measurements of each quorum in each regime.
    :param writes: writes of each loaded run.
    :param idle_writes: writes of each idle run.
    :param fault_writes: writes of each run with a slow or stopped follower, at most.
    :param keys: keys that a run's writes are spread over.
    :param users: simultaneous clients of a loaded run.
    :param workers: processes that these are divided among; 0 = one process without a master.
    :param join_port: where workers that are started elsewhere join; ``None`` = start them here.
    :param warm_up_writes: writes before all measurements; 0 = none.
    :param seed: seed of the order of keys and runs.
    :param delay_ms: range of the simulated delay; ``None`` = as the running cluster has it.
    :param thorough: whether to measure delays of 0 to 100 ms and faults, too.
    :param converge_timeout_s: seconds the copies may take to become equal.
    :param output: folder for everything the study leaves behind.
    """

    leader_url: str | None
    follower_urls: tuple[str, ...]
    quorums: tuple[int, ...]
    repeats: int
    writes: int
    idle_writes: int
    fault_writes: int = 1000
    keys: int
    users: int
    workers: int
    join_port: int | None = None
    warm_up_writes: int
    seed: int
    delay_ms: DelayRange | None
    thorough: bool
    converge_timeout_s: float
    output: str

    @property
    def is_local(self) -> bool:
        """Whether the study starts nodes of its own."""
        return self.leader_url is None

    @property
    def follower_count(self) -> int:
        """Number of followers in the study."""
        return LOCAL_FOLLOWERS if self.is_local else len(self.follower_urls)

    @property
    def folder(self) -> Path:
        """Where everything goes that the study leaves behind."""
        return Path(self.output)


def parse_settings(arguments: Sequence[str] | None = None) -> StudySettings:
    """Read the command line; an invalid one ends the program with a message.

    :param arguments: the words after the program's name, ``None`` = those of this process.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if (given.leader is None) != (not given.followers):
        parser.error("a running cluster needs both --leader and --followers")
    if (given.min_delay_ms is None) != (given.max_delay_ms is None):
        parser.error("give both --min-delay-ms and --max-delay-ms, or neither")
    delay_ms = None if given.leader else DEFAULT_DELAY_MS
    if given.min_delay_ms is not None:
        delay_ms = (given.min_delay_ms, given.max_delay_ms)
        if not 0 <= delay_ms[0] <= delay_ms[1]:
            parser.error("the delay needs 0 <= min <= max")
    chosen = PRESETS["full" if given.full else "quick" if given.quick else "default"]
    values = {
        name: value if (own := getattr(given, name)) is None else own
        for name, value in chosen.items()
    }
    settings = StudySettings(
        leader_url=given.leader,
        follower_urls=given.followers,
        keys=given.keys,
        users=given.users,
        workers=given.workers,
        join_port=given.join_port,
        seed=given.seed,
        delay_ms=delay_ms,
        thorough=given.full,
        converge_timeout_s=given.converge_timeout_s,
        output=str(given.output.resolve()),
        **values,
    )
    if max(settings.quorums) > settings.follower_count:
        parser.error(
            f"write quorum {max(settings.quorums)} needs more followers than the "
            f"{settings.follower_count} there are"
        )
    if settings.users < settings.workers:
        parser.error("each of the --workers needs one of the --users at least")
    if settings.join_port is not None and settings.workers == 0:
        parser.error("--join-port is for --workers: say how many will join")
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Measure what each write quorum costs, check that all copies are equal, and "
        "draw and report it. Starts six local nodes, unless a running cluster is given.",
        epilog="python -m analysis plot FOLDER draws and reports again from the data that a study "
        "has left; python -m analysis compare FOLDER FOLDER compares two studies.",
    )
    add = parser.add_argument
    size = parser.add_mutually_exclusive_group()
    size.add_argument(
        "--quick",
        action="store_true",
        help="within half a minute: W = 1, 3, 5, few writes and repeats",
    )
    size.add_argument(
        "--full",
        action="store_true",
        help="10,000 writes a run, delays of 0 to 100 ms, a slow and a stopped follower",
    )
    add("--leader", type=_url, metavar="URL", help="the leader of a running cluster")
    add(
        "--followers",
        type=_urls,
        default=(),
        metavar="URL,...",
        help="all followers of that leader",
    )
    add("--quorums", type=_quorums, metavar="W,...", help=f"to measure ({_presets('quorums')})")

    def count(name: str, parse: Callable[[str], int], default: int | None, meaning: str) -> None:
        shown = _presets(name) if default is None else f"default: {default}"
        option = "--" + name.replace("_", "-")
        add(option, type=parse, default=default, metavar="N", help=f"{meaning} ({shown})")

    count("repeats", _positive, None, "measurements of each quorum in each regime")
    count("writes", _positive, None, "writes of each loaded run")
    count("idle_writes", _positive, None, "writes of each idle run")
    count("keys", _positive, 100, "keys that they are spread over")
    count("users", _positive, 15, "simultaneous clients of a loaded run")
    count("workers", _natural, 0, "processes that make the load under a master; 0 = one alone")
    add(
        "--join-port",
        type=_port,
        metavar="PORT",
        help="the workers are started elsewhere, and join here: on each machine `while sleep 1; do "
        ".venv/bin/locust --worker --master-host THIS_ONE --master-port PORT; done`",
    )
    count("warm_up_writes", _natural, None, "writes before all measurements")
    count("seed", int, 1, "seed of the order of keys and runs")
    low, high = DEFAULT_DELAY_MS
    unchanged = "a running cluster keeps its own, and is not compared with theory"
    add(
        "--min-delay-ms",
        type=float,
        metavar="MS",
        help=f"shortest simulated delay (default: {low} on local nodes; {unchanged})",
    )
    add(
        "--max-delay-ms",
        type=float,
        metavar="MS",
        help=f"longest simulated delay (default: {high} on local nodes; {unchanged})",
    )
    add(
        "--converge-timeout-s",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="seconds that the copies may take to become equal (default: %(default)s)",
    )
    add(
        "--output",
        type=Path,
        default=REPO_ROOT / "results",
        metavar="FOLDER",
        help="where to write the results (default: results/)",
    )
    return parser


def _presets(name: str) -> str:
    def show(value: object) -> str:
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    values = {preset: show(chosen[name]) for preset, chosen in PRESETS.items()}
    return f"default: {values['default']}; quick: {values['quick']}; full: {values['full']}"


def _url(text: str) -> str:
    if not text.startswith(("http://", "https://")):
        raise argparse.ArgumentTypeError(f"{text!r} is not an http:// or https:// URL")
    return text.rstrip("/")


def _urls(text: str) -> tuple[str, ...]:
    return tuple(_url(part) for part in text.split(","))


def _natural(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 0 or more")
    return int(text)


def _positive(text: str) -> int:
    if _natural(text) == 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def _port(text: str) -> int:
    if not 1 <= (port := _natural(text)) <= 65535:
        raise argparse.ArgumentTypeError("must be from 1 to 65535")
    return port


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return seconds


def _quorums(text: str) -> tuple[int, ...]:
    quorums = tuple(_natural(part) for part in text.split(","))
    if len(set(quorums)) != len(quorums):
        raise argparse.ArgumentTypeError(f"{text!r} names a quorum twice")
    return quorums
