"""What a study is asked to do."""

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.nodes.node import REPO_ROOT

LOCAL_FOLLOWERS = 5
DEFAULT_DELAY_MS = (0.1, 1.0)


@dataclass(frozen=True)
class StudySettings:
    """One study.

    :param leader_url: leader of a running cluster; ``None`` = start local nodes.
    :param follower_urls: all its followers; empty = start local nodes.
    :param quorums: write quorums to measure, distinct.
    :param writes: measured writes for each quorum.
    :param keys: keys they are spread over.
    :param users: simultaneous clients.
    :param warm_up_writes: writes to other keys before each measurement, not measured; 0 = none.
    :param seed: seed of the order of keys and quorums.
    :param delay_ms: range of the simulated delay in milliseconds; ``None`` = as the running cluster
        has it.
    :param converge_timeout_s: seconds the copies may take to become equal.
    :param output: folder for everything the study leaves behind.
    """

    leader_url: str | None
    follower_urls: tuple[str, ...]
    quorums: tuple[int, ...]
    writes: int
    keys: int
    users: int
    warm_up_writes: int
    seed: int
    delay_ms: tuple[float, float] | None
    converge_timeout_s: float
    output: Path

    @property
    def is_local(self) -> bool:
        """Whether the study starts nodes of its own."""
        return self.leader_url is None

    @property
    def follower_count(self) -> int:
        """Number of followers in the study."""
        return LOCAL_FOLLOWERS if self.is_local else len(self.follower_urls)


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
    settings = StudySettings(
        leader_url=given.leader,
        follower_urls=given.followers,
        quorums=given.quorums,
        writes=given.writes,
        keys=given.keys,
        users=given.users,
        warm_up_writes=given.warm_up_writes,
        seed=given.seed,
        delay_ms=delay_ms,
        converge_timeout_s=given.converge_timeout_s,
        output=given.output.resolve(),
    )
    if max(settings.quorums) > settings.follower_count:
        parser.error(
            f"write quorum {max(settings.quorums)} needs more followers than the "
            f"{settings.follower_count} there are"
        )
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Measure what each write quorum costs, check that all copies are equal, and "
        "draw the plot. Starts six local nodes, unless a running cluster is given.",
    )
    add = parser.add_argument
    add("--leader", type=_url, metavar="URL", help="the leader of a running cluster")
    add(
        "--followers",
        type=_urls,
        default=(),
        metavar="URL,...",
        help="all followers of that leader",
    )
    add(
        "--quorums",
        type=_quorums,
        default="1,2,3,4,5",
        metavar="W,...",
        help="write quorums to measure (default: %(default)s)",
    )

    def count(name: str, parse: Callable[[str], int], default: int, meaning: str) -> None:
        add(name, type=parse, default=default, metavar="N", help=f"{meaning} (default: {default})")

    count("--writes", _positive, 10_000, "writes to measure for each quorum")
    count("--keys", _positive, 100, "keys that the writes are spread over")
    count("--users", _positive, 8, "simultaneous clients")
    count("--warm-up-writes", _natural, 500, "writes to other keys before each measurement")
    count("--seed", int, 1, "seed of the order of keys and quorums")
    low, high = DEFAULT_DELAY_MS
    unchanged = "a running cluster keeps its own"
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
