"""From measurements to figures: medians over the rounds, and ratios within each round."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from analysis.bench.cases import CASES, Case
from analysis.bench.measurement import Measurement
from analysis.bench.systems import PLAIN
from analysis.nodes.usage import Usage

# Name, unit and meaning of each figure.
FIGURES = (
    ("per_s", "1/s", "successful answers"),
    ("p50_ms", "ms", "median time from a request to its answer"),
    ("p99_ms", "ms", "99th percentile of that time"),
    ("cpu_us", "µs", "processor time of the asked node for each request"),
    ("waits", "1", "its voluntary context switches for each request: how often it had to be woken"),
    ("preemptions", "1", "its involuntary context switches for each request"),
    ("follower_cpu_us", "µs", "processor time of one follower for each write"),
    ("follower_waits", "1", "its voluntary context switches for each write"),
    ("follower_preemptions", "1", "its involuntary context switches for each write"),
    ("load_cpu_us", "µs", "processor time of wrk for each request"),
    ("batch", "entries", "mean number of entries in a replication request"),
)
_OF_THE_CEILING = {
    "follower_cpu_us": "cpu_us",
    "follower_waits": "waits",
    "follower_preemptions": "preemptions",
}
"""What the ceiling has instead, as it has no followers."""


@dataclass(frozen=True)
class Spread:
    """The rounds' median, lowest and highest value."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Summary:
    """A case with one number of connections, over all rounds.

    :param figures: by the names in :data:`FIGURES`; those that are known.
    :param ratios: the same in relation to the ceiling, of each round; those that are known.
    :param errors: in all rounds together.
    """

    case: Case
    connections: int
    rounds: int
    figures: dict[str, Spread]
    ratios: dict[str, Spread]
    errors: int


def figures(measurement: Measurement) -> dict[str, float]:
    """The figures of one measurement that are known, by their names."""
    load, requests = measurement.load, measurement.load.answers
    case = measurement.case
    found = {"per_s": load.per_s}
    if requests == 0:
        return found
    found |= {"p50_ms": load.p50_ms, "p99_ms": load.p99_ms}
    found |= _for_each("", case, measurement.serving, requests)
    if measurement.follower is not None and case.requests.method == "PUT":
        found |= _for_each("follower_", case, measurement.follower, requests)
    found["load_cpu_us"] = 1e6 * load.cpu_s / requests
    if measurement.batch is not None:
        found["batch"] = measurement.batch
    return found


def _for_each(prefix: str, case: Case, usage: Usage, requests: int) -> dict[str, float]:
    found = {f"{prefix}cpu_us": 1e6 * usage.cpu_s / requests}
    if case.system != PLAIN:  # its threads end with their connections, and take their counts along
        found[f"{prefix}waits"] = usage.waits / requests
        found[f"{prefix}preemptions"] = usage.preemptions / requests
    return found


def ratios(measurement: Measurement, ceiling: Measurement) -> dict[str, float]:
    """The figures of a measurement in relation to those of the ceiling.

    :return: by name; without those where the ceiling has none, or 0.
    """
    ours, theirs = figures(measurement), figures(ceiling)
    found = {}
    for name, value in ours.items():
        base = theirs.get(_OF_THE_CEILING.get(name, name), 0.0)
        if base > 0:
            found[name] = value / base
    return found


def summarise(measurements: Sequence[Measurement]) -> list[Summary]:
    """Medians over the rounds, by connections, and then in the order of the cases.

    Each ratio is to the ceiling with as many connections in the same round.
    """
    ceilings = {(m.round, m.connections, m.case.name): m for m in measurements}
    groups: dict[tuple[Case, int], list[Measurement]] = {}
    for measurement in measurements:
        groups.setdefault((measurement.case, measurement.connections), []).append(measurement)
    return [
        Summary(
            case,
            connections,
            len(group),
            _spreads(figures(m) for m in group),
            _spreads(
                ratios(m, ceilings[m.round, connections, case.ceiling])
                for m in group
                if (m.round, connections, case.ceiling) in ceilings
            ),
            sum(m.load.errors for m in group),
        )
        for (case, connections), group in sorted(
            groups.items(), key=lambda item: (item[0][1], CASES.index(item[0][0]))
        )
    ]


def ratio_between(
    measurements: Iterable[Measurement], name: str, reference: str, connections: int
) -> float:
    """Median over the rounds of how much faster one case is than another.

    :param name: of the case; so ``reference``.
    :return: NaN where a round has not both.
    """
    rates = {
        (m.round, m.case.name): m.load.per_s for m in measurements if m.connections == connections
    }
    found = [
        rate / rates[number, reference]
        for (number, case), rate in rates.items()
        if case == name and rates.get((number, reference))
    ]
    return median(found) if found else math.nan


def _spreads(rounds: Iterable[dict[str, float]]) -> dict[str, Spread]:
    values: dict[str, list[float]] = {}
    for found in rounds:
        for name, value in found.items():
            values.setdefault(name, []).append(value)
    return {name: Spread(median(each), min(each), max(each)) for name, each in values.items()}
