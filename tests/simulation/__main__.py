"""Run the rules through random schedules of faults on a virtual network, clock and disks."""

import argparse
import logging
import random
import sys

from tests.simulation.brief import describe
from tests.simulation.campaign import report, run_campaign
from tests.simulation.shrink import Attempt, shrink


def main() -> int:
    """The exit code: 0 when no invariant was violated."""
    options = _options()
    logging.getLogger("kvstore").setLevel(logging.ERROR)
    if options.shrink is not None:
        return _show(options.shrink, shrink(options.shrink), actions=True)
    if options.repeat is not None:
        return _show(options.repeat, Attempt(options.repeat), actions=False)
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10**9)
    seconds = options.seconds
    if seconds is None and options.schedules is None:
        seconds = 10.0
    summary = run_campaign(
        seed, schedules=options.schedules, seconds=seconds, max_failures=options.max_failures
    )
    print(summary)
    return 1 if summary.failures else 0


def _show(seed: int, attempt: Attempt, *, actions: bool) -> int:
    schedule = attempt.schedule
    if attempt.failure is None:
        print(f"seed {seed}: nothing is wrong")
        print(describe(schedule.world))
        return 0
    print(report(seed, schedule, attempt.failure, events=100, actions=actions))
    if attempt.left_out:
        print(f"needed: {', '.join(schedule.causes) or 'no fault and no write'}")
        print(f"not needed: {len(attempt.left_out)} others")
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument(
        "--seed", type=int, metavar="N", help="of the first schedule (default: a new one)"
    )
    parser.add_argument(
        "--schedules", type=int, metavar="N", help="run this many (default: no limit)"
    )
    parser.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="run this long (default: 10, unless --schedules is given)",
    )
    parser.add_argument(
        "--max-failures", type=int, default=5, metavar="N", help="stop after this many (default: 5)"
    )
    parser.add_argument(
        "--repeat", type=int, metavar="SEED", help="run the schedule of this seed again"
    )
    parser.add_argument(
        "--shrink",
        type=int,
        metavar="SEED",
        help="... and leave out what its failure does not need",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
