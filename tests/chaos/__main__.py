"""``python -m tests.chaos``: run a fault campaign, or check the history of one again."""

import argparse
import inspect
import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from tqdm import tqdm

from analysis.nodes.errors import NodeError
from tests.chaos.campaign import Show, plan, run
from tests.chaos.history import Campaign, HistoryError, read_history
from tests.chaos.judgement import judge, verdict_lines

_PROGRAM = "python -m tests.chaos"
_RESULTS = Path("results/chaos")
_SEARCH_S = 120.0

PASSED = 0
FAILED = 1
USAGE = 2
UNDECIDED = 3
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    :return: the exit code: 0 passed, 1 failed, 2 invalid arguments, 3 undecided, 130 interrupted.
    """
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    keep = given.pop("keep")
    try:
        if given.pop("command") == "check":
            return _check(given["file"])
        campaign = plan(**{"seed": random.randrange(1_000_000), **given})
    except (HistoryError, ValueError) as error:
        parser.error(str(error))
    try:
        with _ended_by_signals():
            return _run(campaign, keep=keep)
    except KeyboardInterrupt:
        print("interrupted; all nodes are gone", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=_PROGRAM,
        usage="%(prog)s [options]\n       %(prog)s check FILE",
        description="Run clients against real nodes while these are killed, frozen, emptied and "
        "cut off; then check every answer.",
        epilog="Exit code: 0 passed, 1 failed, 2 invalid arguments, 3 undecided, 130 interrupted.",
        argument_default=argparse.SUPPRESS,  # what is not given is left to the plan
    )
    defaults = inspect.signature(plan).parameters

    def add(name: str, parse: Callable[[str], float], metavar: str, meaning: str) -> None:
        default = defaults[name.removeprefix("--").replace("-", "_")].default
        parser.add_argument(
            name, type=parse, metavar=metavar, help=f"{meaning} (default: {default:g})"
        )

    add("--seconds", _positive, "S", "how long clients work and faults happen")
    parser.add_argument("--seed", type=int, metavar="N", help="default: a new one, printed")
    add("--followers", _count, "N", "number of followers")
    add("--clients", _count, "N", "number of clients")
    add("--write-quorum", _count, "W", "followers that have to hold a write")
    add("--keys", _count, "N", "number of keys that the clients share")
    parser.add_argument(
        "--keep",
        action="store_true",
        default=False,
        help="keep the history even if the campaign passes (a failed one is always kept)",
    )
    commands = parser.add_subparsers(dest="command", metavar="check FILE", prog=_PROGRAM)
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


def _run(campaign: Campaign, *, keep: bool) -> int:
    started = datetime.now(UTC).strftime("%Y%m%d-%H%M%S")
    directory = _RESULTS / f"{started}-seed{campaign.seed}"
    directory.mkdir(parents=True)
    print(f"repeat with: {campaign.command}", flush=True)
    try:
        with _progress_bar(campaign.seconds) as show:
            path = run(campaign, directory, show)
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
        print(f"repeat with: {campaign.command}")
    return code


@contextmanager
def _progress_bar(seconds: float) -> Iterator[Show]:
    """A line that is drawn anew on a terminal, and now and then elsewhere."""
    on_terminal = sys.stderr.isatty()
    with tqdm(
        total=seconds,
        dynamic_ncols=on_terminal,
        mininterval=0.2 if on_terminal else 5.0,
        bar_format="{n:.0f} of {total:g} s |{bar:20}| {desc}",
    ) as bar:

        def show(elapsed_s: float, text: str) -> None:
            bar.set_description_str(text, refresh=False)
            bar.update(elapsed_s - bar.n)

        yield show


def _check(path: Path) -> int:
    history = read_history(path)
    judgement = judge(history, _SEARCH_S)
    for line in verdict_lines(history, judgement):
        print(line)
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
