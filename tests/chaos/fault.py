"""One fault: what is done to which nodes, when, and for how long."""

from typing import Literal

from msgspec import Struct

LEADER = "leader"
Action = Literal[
    "kill",  # SIGKILL of the whole node, and a restart
    "kill worker",  # SIGKILL of its worker, which gunicorn replaces
    "stop",  # SIGTERM, and a restart
    "empty",  # SIGKILL, the data directories of some of the killed deleted, and a restart
    "put back",  # SIGKILL, and later an older copy of the directories, and restarts
    "freeze",  # SIGSTOP, and SIGCONT
    "cut",  # bytes on the way to or from a follower are lost
    "stall",  # they wait until the fault ends, as when TCP repeats them
    "hold",  # entries on the way to a follower wait, while everything else goes through
    "slow",  # bytes take longer
    "refuse",  # connections to a follower are reset, and new ones too
    "replay",  # a follower gets requests that it got before once more
    "raise quorum",  # the leader wants more followers for a while
]
Way = Literal["both ways", "to the follower", "to the leader"]


class Fault(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One fault.

    :param number: of the fault in its schedule.
    :param at_s: when it begins, in seconds from the start of the campaign.
    :param nodes: names of the nodes; of followers where it concerns their links to the leader.
    :param seconds: how long it lasts; until the restart where nodes are killed or stopped.
    :param emptied: which of the nodes lose their directories.
    :param way: of a link that is cut or stalled.
    :param latency_s: of a slow link, in each direction.
    :param on_confirmation: kill at the moment when a client learns that its write is confirmed.
    :param kills_again_s: a restarted node is killed again after each of these times.
    """

    number: int = 0
    at_s: float = 0.0
    action: Action
    nodes: list[str]
    seconds: float
    emptied: list[str] = []
    way: Way = "both ways"
    latency_s: float = 0.0
    on_confirmation: bool = False
    kills_again_s: list[float] = []

    @property
    def end_s(self) -> float:
        """When it ends, but for the time that restarts take."""
        return self.at_s + self.seconds + sum(self.kills_again_s)

    def describe(self) -> str:
        """For people, on one line."""
        text = f"{self.action} {', '.join(self.emptied or self.nodes)}"
        killed = [name for name in self.nodes if self.emptied and name not in self.emptied]
        return f"{text}, kill {', '.join(killed)}" if killed else text
