"""The runs of a study: which regime, at which write quorum, how often, and in which order."""

import random
from typing import Literal

from msgspec import Struct

from analysis.study.settings import DelayRange, StudySettings

Regime = Literal["idle", "idle_no_delay", "idle_wide", "loaded", "slow_follower", "follower_down"]
"""
``idle``: one client at a low fixed rate; ``idle_no_delay`` and ``idle_wide``: the same without a
simulated delay, and with one of 0 to 100 ms; ``loaded``: many clients, each of which writes as fast
as it is answered; ``slow_follower``: the same with one follower's delay at 20 ms;
``follower_down``: with one follower stopped.
"""
IDLE: tuple[Regime, ...] = ("idle", "idle_no_delay", "idle_wide")
WIDE_DELAY_MS: DelayRange = (0.0, 100.0)
SLOW_DELAY_MS: DelayRange = (20.0, 20.0)
_WIDE_WRITES = 60
_BATCH = 10
_MAX_PER_S = 100.0
_SETTLE_MS = 9.0  # room for what a write needs beside its delay until all followers hold it


class Run(Struct, frozen=True):
    """One measurement.

    :param repeat: from 1.
    """

    regime: Regime
    write_quorum: int
    repeat: int

    @property
    def name(self) -> str:
        """Names its folder, and its keys."""
        return f"{self.regime}-w{self.write_quorum}-r{self.repeat}"

    @property
    def is_idle(self) -> bool:
        """Whether one client writes at a low rate."""
        return self.regime in IDLE

    def is_doomed(self, settings: StudySettings) -> bool:
        """Whether no write can be confirmed, because W needs the follower that is down."""
        return self.regime == "follower_down" and self.write_quorum == settings.follower_count

    def delay_ms(self, settings: StudySettings) -> DelayRange | None:
        """The range of the simulated delay; None = as the running cluster has it."""
        match self.regime:
            case "idle_no_delay":
                return (0.0, 0.0)
            case "idle_wide":
                return WIDE_DELAY_MS
            case _:
                return settings.delay_ms

    def writes(self, settings: StudySettings) -> int:
        """How many writes it makes."""
        match self.regime:
            case "idle":
                return settings.idle_writes
            case "idle_no_delay":
                return max(settings.idle_writes // 2, 1)
            case "idle_wide":
                return min(settings.idle_writes, _WIDE_WRITES)
            case "loaded":
                return settings.writes
            case _:
                return min(settings.writes, settings.fault_writes)

    def per_s(self, settings: StudySettings) -> float:
        """The rate of an idle run, in writes per second: low enough that a write is over, at all
        followers, before the next begins.
        """
        _, longest_ms = self.delay_ms(settings) or (0.0, 100.0)
        return min(_MAX_PER_S, 1000 / (longest_ms + _SETTLE_MS))


Measurement = tuple[Run, ...]
"""Runs that are made together: the idle ones of a repeat, which take turns, or a single other one.
"""


def plan_measurements(settings: StudySettings) -> tuple[Measurement, ...]:
    """All runs in the order in which they are made.

    Every repeat has all quorums and regimes, in an order of its own drawn from the seed, so that
    what drifts while the study runs is not taken for an effect of W. The faults come last, once for
    each quorum: whatever they do to the nodes, they do not do it to the other figures.
    """
    order = random.Random(settings.seed)
    sets_delay = settings.delay_ms is not None
    idle: list[Regime] = ["idle"]
    if sets_delay:
        idle.append("idle_no_delay")
    if sets_delay and settings.thorough:
        idle.append("idle_wide")
    found: list[Measurement] = []
    for repeat in range(1, settings.repeats + 1):
        block = [tuple(Run(regime, w, repeat) for w in settings.quorums) for regime in idle]
        block += [(Run("loaded", w, repeat),) for w in settings.quorums]
        order.shuffle(block)
        found += block
    if settings.thorough and sets_delay:
        found += [(Run("slow_follower", w, 1),) for w in settings.quorums]
    if settings.thorough and settings.is_local:
        found += [(Run("follower_down", w, 1),) for w in settings.quorums]
    return tuple(found)


def take_turns(measurement: Measurement, settings: StudySettings) -> list[tuple[Run, int]]:
    """How the idle runs of a measurement take turns, so that what drifts within seconds hits all
    quorums alike.

    :return: runs, each with how many of its writes come next; every round has all, in an order of
        its own drawn from the seed.
    """
    first = measurement[0]
    order = random.Random(f"{settings.seed}{first.name}")
    turns = []
    for begin in range(0, first.writes(settings), _BATCH):
        writes = min(_BATCH, first.writes(settings) - begin)
        turns += [(run, writes) for run in order.sample(measurement, len(measurement))]
    return turns
