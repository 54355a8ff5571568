"""A queueing model of the writes, small enough to be checked, for machines that are not at hand.

Rounds: N connections form a closed system, and the leader carries what waits together through one
round of replication. A round has a part that does not depend on how many writes it carries (the
delay, the commits, the exchanges' own cost), and a part for each write::

    round(N) = fixed + per_write * N        rate(N) = N / round(N)

The two are fitted to rates that were measured. The part for each write is processor time, of which
one leader's has to come one after the other, as it is one thread, while that of all together may be
spread over the cores::

    bound(cores, groups) = max(leader / groups, (leader + followers + load) / cores)

So a measured ``per_write`` becomes that of another machine, or of keys that are split over several
groups of a leader and its followers, by the ratio of the bounds. It is an upper bound where other
things would limit sooner: the disk, or memory bandwidth. (Closed systems and their bounds: Lazowska
et al., *Quantitative System Performance*, chapter 5.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Costs:
    """Seconds of processor time for each write.

    :param leader_s: of the leader.
    :param followers_s: of all followers of its group together.
    :param load_s: of the program that makes the load, on the same machine; 0 = on another one.
    """

    leader_s: float
    followers_s: float
    load_s: float = 0.0

    def bound_s(self, cores: int, groups: int = 1) -> float:
        """The least time between two writes.

        :param cores: of the one machine for everything.
        :param groups: leaders, each with followers of its own, that the keys are split over.
        """
        return max(self.leader_s / groups, (self.leader_s + self.followers_s + self.load_s) / cores)


@dataclass(frozen=True)
class Rounds:
    """The fitted model.

    :param fixed_s: seconds of a round, whatever it carries.
    :param per_write_s: more seconds for each write.
    """

    fixed_s: float
    per_write_s: float

    def rate(self, connections: int) -> float:
        """Writes a second with so many connections."""
        return connections / (self.fixed_s + self.per_write_s * connections)

    def elsewhere(self, costs: Costs, measured_cores: int, cores: int, groups: int = 1) -> "Rounds":
        """The same service on another number of cores, or with several leaders.

        The fixed part stays: a round is no shorter for having more cores.

        :param costs: as measured.
        :param measured_cores: cores of the machine that the model was fitted on, with one leader.
        """
        ratio = costs.bound_s(cores, groups) / costs.bound_s(measured_cores)
        return replace(self, per_write_s=self.per_write_s * ratio)


def fit(rates: Mapping[int, float]) -> Rounds:
    """Fit the model to measured rates, with the least sum of squared relative errors of the time.

    :param rates: writes a second by the number of connections, at least two of them.
    :return: with neither part below 0.
    """
    connections = np.array(sorted(rates), dtype=float)
    rounds_s = connections / np.array([rates[int(n)] for n in connections])
    # Relative errors: each equation is divided by its measured time.
    equations = np.column_stack([1 / rounds_s, connections / rounds_s])
    (fixed_s, per_write_s), *_ = np.linalg.lstsq(equations, np.ones(len(connections)), rcond=None)
    if fixed_s < 0:
        share = connections / rounds_s
        return Rounds(0.0, float(share.sum() / (share**2).sum()))
    if per_write_s < 0:
        share = 1 / rounds_s
        return Rounds(float(share.sum() / (share**2).sum()), 0.0)
    return Rounds(float(fixed_s), float(per_write_s))
