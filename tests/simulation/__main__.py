"""Run the rules through random schedules of faults on a virtual network, clock and disks."""

import argparse
import logging
import random
import sys

from tests.simulation.campaign import run_campaign
from tests.simulation.report import describe, report
from tests.simulation.shrink import Attempt, shrink


def main() -> int:
    """The exit code: 0 when no invariant was violated."""
    options = _options()
    logging.getLogger("kvstore").setLevel(logging.ERROR)
    if options.shrink is not None:
        return _show(shrink(options.shrink), actions=True)
    if options.repeat is not None:
        return _show(Attempt(options.repeat), actions=False)
    seed = options.seed
    if seed is None:
        seed = random.SystemRandom().randrange(10**9)
    summary = run_campaign(seed, seconds=options.seconds)
    print(summary)
    return 1 if summary.failures else 0


def _show(attempt: Attempt, *, actions: bool) -> int:
    schedule = attempt.schedule
    if attempt.failure is None:
        print(f"seed {schedule.seed}: nothing is wrong")
        print(describe(schedule.world))
        return 0
    print(report(schedule, attempt.failure, events=100, actions=actions))
    if attempt.left_out:
        print(f"needed: {', '.join(schedule.causes) or 'no fault and no write'}")
        print(f"not needed: {len(attempt.left_out)} others")
    return 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    add = parser.add_argument
    add("--seed", type=int, metavar="N", help="of the first schedule (default: a new one)")
    add("--seconds", type=float, default=10.0, metavar="S", help="run this long (default: 10)")
    add("--repeat", type=int, metavar="SEED", help="run the schedule of this seed again")
    add("--shrink", type=int, metavar="SEED", help="... without what its failure does not need")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
