"""The cases of the benchmark: which system is asked for what, and how it is set."""

from dataclasses import dataclass

from analysis.bench.systems import CEILING, DURABLE, MEMORY, PLAIN
from analysis.bench.wrk import GETS, PUTS, Requests

Delay = tuple[float, float]
DELAYED: Delay = (0.1, 1.0)
"""The range of the simulated delay, in milliseconds."""
AT_ONCE: Delay = (0.0, 0.0)
QUORUMS = (1, 3, 5)
CONNECTIONS = (1, 15, 64, 1000)


@dataclass(frozen=True)
class Case:
    """One load on one system.

    :param name: what the results call it.
    :param group: cases that differ by W only.
    :param write_quorum: None = the system has none, or is only read.
    :param delay_ms: None = the system is not told.
    :param from_follower: whether a follower is asked, instead of the leader.
    """

    name: str
    group: str
    system: str
    requests: Requests = PUTS
    write_quorum: int | None = None
    delay_ms: Delay | None = None
    from_follower: bool = False

    @property
    def ceiling(self) -> str:
        """Name of the case that it is compared with."""
        return CEILING_PUT.name if self.requests.method == "PUT" else CEILING_GET.name


def _with_each_quorum(group: str, system: str, delay_ms: Delay | None) -> tuple[Case, ...]:
    return tuple(Case(f"{group}, W={w}", group, system, PUTS, w, delay_ms) for w in QUORUMS)


CEILING_PUT = Case("bare Flask, write", "bare Flask", CEILING)
CEILING_GET = Case("bare Flask, read", "bare Flask", CEILING, GETS)
DURABLE_DELAYED = "durable, delay 0.1 to 1.0 ms"
DURABLE_AT_ONCE = "durable, no delay"
IN_MEMORY = "in memory, delay 0.1 to 1.0 ms"
PLAIN_DESIGN = "plain design, delay 0.1 to 1.0 ms"
READ_LEADER = Case("read, leader", "read", DURABLE, GETS)
READ_FOLLOWER = Case("read, follower", "read", DURABLE, GETS, from_follower=True)

CASES = (
    CEILING_PUT,
    *_with_each_quorum(DURABLE_DELAYED, DURABLE, DELAYED),
    *_with_each_quorum(DURABLE_AT_ONCE, DURABLE, AT_ONCE),
    *_with_each_quorum(IN_MEMORY, MEMORY, DELAYED),
    *_with_each_quorum(PLAIN_DESIGN, PLAIN, None),
    CEILING_GET,
    READ_LEADER,
    READ_FOLLOWER,
)
