"""``python -m tests.chaos``: run a fault campaign, or check the history of one again."""

import argparse
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from tqdm import tqdm

from analysis.nodes.errors import NodeError
from tests.chaos.campaign import Show, plan, run
from tests.chaos.history import Campaign, History, read_history, save_history
from tests.chaos.judgement import judge, verdict_lines

_RESULTS = Path("results/chaos")

INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run the command line.

    :return: the exit code: 0 passed, 1 failed or undecided, 2 invalid arguments, 130 interrupted.
    """
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description="Run clients against real nodes while these are killed, frozen, emptied and "
        "cut off; then check every answer.",
    )
    usual = "default: %(default)s"
    parser.add_argument("--seconds", type=float, default=60.0, metavar="S", help=usual)
    parser.add_argument("--followers", type=int, default=5, metavar="N", help=usual)
    parser.add_argument("--write-quorum", type=int, default=2, metavar="W", help=usual)
    parser.add_argument("--seed", type=int, metavar="N", help="default: a new one, printed")
    parser.add_argument(
        "--check", type=Path, metavar="FILE", help="only check a kept history again"
    )
    given = parser.parse_args(arguments)
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    try:
        history = None if given.check is None else read_history(given.check)
        campaign = plan(seed, given.seconds, given.followers, given.write_quorum)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    if history is not None:
        return _verdict(history)
    try:
        with _ended_by_signals():
            return _run(campaign)
    except KeyboardInterrupt:
        print("interrupted; all nodes are gone", file=sys.stderr)
        return INTERRUPTED


def _run(campaign: Campaign) -> int:
    print(f"repeat with: {campaign.command}", flush=True)
    with tempfile.TemporaryDirectory(prefix="kvstore-chaos-") as scratch:
        try:
            with _progress_bar(campaign.seconds) as show:
                history = run(campaign, Path(scratch), show)
        except NodeError as error:
            print(f"FAILED: the nodes could not be started: {error}")
            return 1
        code = _verdict(history)
        if code != 0:
            kept = _RESULTS / f"{datetime.now(UTC):%Y%m%d-%H%M%S}-seed{campaign.seed}"
            kept.mkdir(parents=True)
            save_history(history, kept / "history.json")
            for log in Path(scratch).glob("*.log"):
                shutil.copy(log, kept)
            print(f"check again with: python -m tests.chaos --check {kept / 'history.json'}")
            print(f"repeat with: {campaign.command}")
    return code


def _verdict(history: History) -> int:
    judgement = judge(history)
    for line in verdict_lines(history, judgement):
        print(line)
    return 0 if judgement.passed else 1


@contextmanager
def _progress_bar(seconds: float) -> Iterator[Show]:
    """A line that is drawn anew every second."""
    form = "{n:.0f} of {total:g} s |{bar:20}| {desc}"
    with tqdm(total=seconds, dynamic_ncols=True, mininterval=1.0, bar_format=form) as bar:

        def show(elapsed_s: float, text: str) -> None:
            bar.set_description_str(text, refresh=False)
            bar.update(elapsed_s - bar.n)

        yield show


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let the first signal end the campaign, and none disturb how it clears up."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(*_: object) -> None:
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
