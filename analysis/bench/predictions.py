"""The model, fitted to a run of the benchmark, checked against the rest of it, and carried on."""

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.bench.cases import DURABLE_DELAYED
from analysis.bench.model import Costs, Rounds, fit
from analysis.bench.summary import Summary
from analysis.bench.systems import FOLLOWERS

FITTED = (1, 64)
"""Connections of the measurements that the model is fitted to; the others check it."""
CASE = f"{DURABLE_DELAYED}, W=3"
CORES = (2, 4, 8, 16)
GROUPS = (1, 2, 4)


@dataclass(frozen=True)
class Check:
    """The model beside a measurement that it was not fitted to, in writes a second."""

    connections: int
    predicted: float
    measured: float

    @property
    def error(self) -> float:
        """How far the prediction is off, as a share of what was measured."""
        return self.predicted / self.measured - 1


@dataclass(frozen=True)
class Predictions:
    """The fitted model and what follows from it.

    :param costs: with the most connections it was fitted to.
    """

    rounds: Rounds
    costs: Costs
    checks: tuple[Check, ...]
    measured_cores: int

    def rate(self, connections: int, cores: int, groups: int) -> float:
        """Writes a second elsewhere."""
        moved = self.rounds.elsewhere(self.costs, self.measured_cores, cores, groups)
        return moved.rate(connections)


def predict(summaries: Sequence[Summary], cores: int) -> Predictions | None:
    """Fit the model to one case of a run.

    :param cores: of the machine that it ran on.
    :return: None where that case was not measured with the connections it takes.
    """
    measured = {each.connections: each for each in summaries if each.case.name == CASE}
    if not all(connections in measured for connections in FITTED):
        return None
    rates = {number: each.figures["per_s"].median for number, each in measured.items()}
    figures = measured[FITTED[-1]].figures
    rounds = fit({connections: rates[connections] for connections in FITTED})
    costs = Costs(
        figures["cpu_us"].median / 1e6,
        FOLLOWERS * figures["follower_cpu_us"].median / 1e6,
        figures["load_cpu_us"].median / 1e6,
    )
    checks = tuple(
        Check(connections, rounds.rate(connections), rate)
        for connections, rate in rates.items()
        if connections not in FITTED
    )
    return Predictions(rounds, costs, checks, cores)
