"""Many schedules, one after the other."""

import math
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.simulation.report import report
from tests.simulation.schedule import Schedule

PROGRESS_S = 60.0


@dataclass(slots=True)
class Summary:
    """What became of a campaign.

    :param seed: of the first schedule; the next have the numbers after it.
    :param failures: a report for each schedule that failed.
    """

    seed: int
    schedules: int = 0
    steps: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules, {self.steps:,} steps, {self.counts['faults']:,} faults "
            f"injected, {self.counts['writes']:,} writes, {self.counts['confirmed']:,} entries "
            f"confirmed, {len(self.failures)} failures, seed {self.seed}"
        )


def run_campaign(
    seed: int, *, schedules: float = math.inf, seconds: float = math.inf, max_failures: int = 5
) -> Summary:
    """Run schedules until there are enough of them, or of failures, or time is up.

    Prints each failure when it is found, and once a minute, on stderr, how far it is.
    """
    summary = Summary(seed)
    now_s = time.monotonic()
    end_s, progress_s = now_s + seconds, now_s + PROGRESS_S
    while summary.schedules < schedules and len(summary.failures) < max_failures and now_s < end_s:
        schedule = Schedule(seed + summary.schedules)
        failure = schedule.run()
        if failure is not None:
            summary.failures.append(report(schedule, failure))
            print(summary.failures[-1], end="\n\n", flush=True)
        summary.schedules += 1
        summary.steps += schedule.world.clock.steps
        summary.counts += schedule.world.counts
        now_s = time.monotonic()
        if now_s > progress_s:
            print(summary, file=sys.stderr, flush=True)
            progress_s = now_s + PROGRESS_S
    return summary
