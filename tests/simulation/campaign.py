"""Many schedules, one after the other."""

import sys
import time
from dataclasses import dataclass, field

import gevent

from tests.simulation.brief import brief, describe
from tests.simulation.schedule import Schedule
from tests.simulation.violation import Violation

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
    faults: int = 0
    writes: int = 0
    confirmed: int = 0
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.schedules:,} schedules, {self.steps:,} steps, {self.faults:,} faults injected, "
            f"{self.writes:,} writes, {self.confirmed:,} entries confirmed, "
            f"{len(self.failures)} failures, seed {self.seed}"
        )


def run_campaign(
    seed: int,
    *,
    schedules: int | None = None,
    seconds: float | None = None,
    max_failures: int = 5,
) -> Summary:
    """Run schedules until there are enough of them, or of failures.

    Prints each failure when it is found, and once a minute, on stderr, how far it is.

    :param schedules: how many; None = no bound.
    :param seconds: how long; None = no bound.
    """
    summary = Summary(seed)
    now_s = time.monotonic()
    end_s = float("inf") if seconds is None else now_s + seconds
    progress_s = now_s + PROGRESS_S
    while summary.schedules != schedules and len(summary.failures) < max_failures and now_s < end_s:
        schedule = Schedule(seed + summary.schedules)
        failure = run_schedule(schedule)
        if failure is not None:
            summary.failures.append(report(seed + summary.schedules, schedule, failure))
            print(summary.failures[-1], end="\n\n", flush=True)
        summary.schedules += 1
        summary.steps += schedule.world.clock.steps
        summary.faults += schedule.world.counts.faults
        summary.writes += schedule.world.counts.writes
        summary.confirmed += schedule.world.counts.confirmed
        now_s = time.monotonic()
        if now_s > progress_s:
            print(summary, file=sys.stderr, flush=True)
            progress_s = now_s + PROGRESS_S
    return summary


def run_schedule(schedule: Schedule) -> Exception | None:
    """Run one schedule.

    :return: why it failed: a violated invariant, or an exception out of the code under test.
    """
    try:
        schedule.run()
    except Exception as error:  # noqa: BLE001 (whatever the rules raise is a finding)
        return error
    finally:
        gevent.sleep(0)  # what the nodes have spawned; it only frees memory
    return None


def report(
    seed: int, schedule: Schedule, failure: Exception, *, events: int = 25, actions: bool = False
) -> str:
    """What a person needs to understand a failure, and to see it again.

    :param events: how many of the last ones to show.
    :param actions: whether to show all earlier ones, too, but the messages and their answers.
    """
    invariant = str(failure)
    if not isinstance(failure, Violation):
        invariant = f"no exception leaves the rules: {type(failure).__name__}: {failure}"
    trace = schedule.world.trace
    earlier = trace[:-events] if actions else []
    shown = [each for each in earlier if each[1][0] not in ("message", "answer")] + trace[-events:]
    return "\n".join(
        [
            f"seed {seed}: violated: {invariant}",
            "the last events:",
            *(f"  {at_s:.6f} {' '.join(map(brief, event))}" for at_s, event in shown),
            describe(schedule.world),
            f"repeat it: python -m tests.simulation --repeat {seed}  (smaller: --shrink {seed})",
        ]
    )
