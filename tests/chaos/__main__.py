"""``python -m tests.chaos``: run a fault campaign, or check the history of one again."""

import argparse
import random
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from analysis.nodes.node import NodeError
from tests.chaos.campaign import Options, plan, run
from tests.chaos.history import HistoryError, read_history
from tests.chaos.judgement import Judgement, judge
from tests.chaos.progress import ProgressLine
from tests.chaos.verdict import verdict_lines

_RESULTS = Path("results/chaos")
_SEARCH_S = 120.0

PASSED = 0
FAILED = 1
USAGE = 2
UNDECIDED = 3
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    :return: the exit code: 0 passed, 1 failed, 2 wrong use, 3 undecided, 130 interrupted.
    """
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command == "check":
        try:
            return _check(given.file)
        except HistoryError as error:
            parser.error(str(error))
    if not 1 <= given.write_quorum <= given.followers:
        parser.error("--write-quorum must be from 1 to the number of followers")
    options = Options(
        seconds=given.seconds,
        seed=random.randrange(1_000_000) if given.seed is None else given.seed,
        followers=given.followers,
        clients=given.clients,
        write_quorum=given.write_quorum,
        keys=given.keys,
    )
    try:
        with _ended_by_signals():
            return _run(options, keep=given.keep)
    except KeyboardInterrupt:
        print("interrupted; all nodes are gone", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Clients work while nodes are killed, frozen, emptied and cut off; then "
        "everything that was answered is checked.",
    )
    defaults = Options(seed=0)
    parser.add_argument("--seconds", type=_positive, default=defaults.seconds, metavar="S")
    parser.add_argument("--seed", type=int, help="default: a new one, which is printed")
    parser.add_argument("--followers", type=_count, default=defaults.followers, metavar="N")
    parser.add_argument("--clients", type=_count, default=defaults.clients, metavar="N")
    parser.add_argument("--write-quorum", type=_count, default=defaults.write_quorum, metavar="W")
    parser.add_argument("--keys", type=_count, default=defaults.keys, metavar="N")
    parser.add_argument(
        "--keep", action="store_true", help="keep the history also when all is well"
    )
    commands = parser.add_subparsers(dest="command", metavar="check FILE")
    check = commands.add_parser("check", help="check a kept history again, without any node")
    check.add_argument("file", type=Path)
    return parser


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError("must be positive")
    return number


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _run(options: Options, *, keep: bool) -> int:
    started = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory = _RESULTS / f"{started}-seed{options.seed}"
    directory.mkdir(parents=True)
    print(f"repeat with: {options.command}", flush=True)
    try:
        with ProgressLine(options.seconds) as progress:
            path = run(plan(options), directory, progress.show)
        code = _check(path)
    except NodeError as error:
        print(f"FAILED: the nodes could not be started: {error}")
        return FAILED
    except KeyboardInterrupt:
        if not keep:
            shutil.rmtree(directory)
        raise
    if code == PASSED and not keep:
        shutil.rmtree(directory)
    else:
        print(f"history: {path}\ncheck again with: python -m tests.chaos check {path}")
        print(f"repeat with: {options.command}")
    return code


def _check(path: Path) -> int:
    history = read_history(path)
    judgement = judge(history, _SEARCH_S)
    for line in verdict_lines(history, judgement):
        print(line)
    return _code(judgement)


def _code(judgement: Judgement) -> int:
    if judgement.findings:
        return FAILED
    return UNDECIDED if judgement.undecided else PASSED


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the first signal end the campaign, and none disturb how it clears up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
