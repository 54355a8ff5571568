"""What the benchmark is asked to do."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.bench.cases import CASES, CONNECTIONS, Case
from analysis.bench.wrk import PUTS
from analysis.nodes.node import REPO_ROOT

_QUICK_CONNECTIONS = (1, 15, 64)


@dataclass(frozen=True)
class BenchSettings:
    """One run.

    :param rounds: how often every case is measured.
    :param seconds: of each measurement.
    :param connections: numbers of simultaneous connections.
    :param cases: which cases.
    :param seed: of the order.
    :param output: folder for the results.
    """

    rounds: int
    seconds: int
    connections: tuple[int, ...]
    cases: tuple[Case, ...]
    seed: int
    output: Path

    def __str__(self) -> str:
        rounds = "1 round" if self.rounds == 1 else f"{self.rounds} rounds"
        return (
            f"{rounds}; in each, every case was measured for {self.seconds} s with each number of "
            f"connections, in an order drawn from seed {self.seed}. The load (wrk) and all servers "
            f"on one machine, over loopback; PUTs of {PUTS.value_bytes}-byte values to {PUTS.keys} "
            "keys, and GETs of them."
        )


def parse_settings(arguments: Sequence[str] | None = None) -> BenchSettings:
    """Read the command line; an invalid one ends the program with a message.

    :param arguments: the words after the program's name, None = those of this process.
    """
    parser = argparse.ArgumentParser(
        prog="python -m analysis.bench",
        description="Measure the service beside a bare Flask view and a plain design, in "
        "interleaved rounds. Needs wrk (on Debian: apt-get install wrk).",
    )
    add = parser.add_argument
    add("--rounds", type=int, default=5, metavar="N", help="default: %(default)s")
    add("--seconds", type=int, default=4, metavar="S", help="of each load; default: %(default)s")
    add("--connections", type=int, nargs="+", metavar="N", help=f"default: {CONNECTIONS}")
    add("--cases", default="", metavar="TEXT", help="only those whose name holds this")
    add("--seed", type=int, default=1, metavar="N", help="of the order; default: %(default)s")
    add(
        "--quick",
        action="store_true",
        help="one round of one second each, without 1,000 connections",
    )
    output = REPO_ROOT / "results" / "bench"
    add("--output", type=Path, default=output, metavar="FOLDER", help="default: results/bench/")
    given = parser.parse_args(arguments)
    if min(given.rounds, given.seconds, *(given.connections or [1])) < 1:
        parser.error("rounds, seconds and connections are 1 or more")
    connections = given.connections or (_QUICK_CONNECTIONS if given.quick else CONNECTIONS)
    chosen = [case for case in CASES if given.cases in case.name]
    if not chosen:
        parser.error(f"no case is called {given.cases!r}: there are {[c.name for c in CASES]}")
    ceilings = {case.ceiling for case in chosen}
    return BenchSettings(
        rounds=1 if given.quick else given.rounds,
        seconds=1 if given.quick else given.seconds,
        connections=tuple(connections),
        cases=tuple(case for case in CASES if case in chosen or case.name in ceilings),
        seed=given.seed,
        output=given.output.resolve(),
    )
