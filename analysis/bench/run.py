"""A run: interleaved rounds, so that what disturbs the machine disturbs all cases alike."""

import random
from collections.abc import Callable

from analysis.bench.cases import Case
from analysis.bench.measurement import Measurement, measure
from analysis.bench.settings import BenchSettings
from analysis.bench.systems import System, open_systems
from analysis.bench.wrk import PUTS, run_wrk

_WARM_UP_S = 1


def run_bench(settings: BenchSettings, say: Callable[[str], None]) -> list[Measurement]:
    """Measure every case in every round.

    In a round the numbers of connections come one after the other. With each, the systems come in a
    random order, and so do the cases of each system, which is woken and warmed up for them.

    :param say: told what is being done.
    :return: in the order in which they were made.
    :raises StudyError: a server or wrk did not do as asked.
    """
    order = random.Random(settings.seed)
    measured = []
    settings.output.mkdir(parents=True, exist_ok=True)
    with open_systems(settings.output, {case.system for case in settings.cases}) as systems:
        for number in range(1, settings.rounds + 1):
            for connections in settings.connections:
                for system in order.sample(list(systems.values()), len(systems)):
                    cases = [case for case in settings.cases if case.system == system.name]
                    order.shuffle(cases)
                    say(f"round {number} of {settings.rounds}, {connections:,}: {system.name}")
                    measured += _measure_all(number, cases, system, connections, settings.seconds)
    return measured


def _measure_all(
    number: int, cases: list[Case], system: System, connections: int, seconds: int
) -> list[Measurement]:
    measured = []
    with system.awake():
        run_wrk(system.cluster.leader.url, PUTS, min(connections, 64), _WARM_UP_S)
        for case in cases:
            measured.append(measure(number, case, system, connections, seconds))
            system.settle()
    return measured
