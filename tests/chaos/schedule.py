"""Which faults a campaign makes, on which nodes and when: decided by the seed alone.

The kinds of faults are dealt like cards: each comes up before any comes up again.
"""

import random
from collections.abc import Callable, Iterator
from typing import Literal

from msgspec.structs import replace

from tests.chaos.fault import LEADER, Action, Fault, Way

_MEAN_S = 0.8
_MEAN_SLOW_S = 2.0
_LONGEST_S = 3.0
_FIRST_FAULT_S = 1.0
_MOST_TOGETHER_S = 0.7  # between the beginnings of cards that are played together
_RESTART_S = 0.8  # about what a node takes to start: the next faults shall meet a whole cluster
_LONGEST_CALM_S = 1.2
_WAYS: tuple[Way, ...] = ("both ways", "to the follower", "to the leader")
Who = Literal["leader", "follower", "followers", "anybody", "few", "everybody"]


def make_schedule(seed: int, seconds: float, followers: int, write_quorum: int) -> list[Fault]:
    """Draw the faults of a campaign: one at a time, and several together.

    :param seconds: length of the campaign; every fault ends before.
    :return: in the order of their beginnings.
    """
    draw = Draw(random.Random(f"schedule {seed}"), followers, write_quorum)
    faults = sorted(_faults(draw, seconds), key=lambda fault: fault.at_s)
    return [replace(fault, number=number) for number, fault in enumerate(faults, start=1)]


class Draw:
    """Draws what a card leaves open.

    :param chance: decides everything.
    :param write_quorum: no more directories than this are deleted at a time.
    """

    def __init__(self, chance: random.Random, followers: int, write_quorum: int) -> None:
        self.chance = chance
        self.followers = [f"follower{number}" for number in range(1, followers + 1)]
        self.everybody = [LEADER, *self.followers]
        self.write_quorum = write_quorum

    def seconds(self, mean: float = _MEAN_S) -> float:
        """A time that is mostly short, and now and then long."""
        return round(min(self.chance.expovariate(1 / mean), _LONGEST_S), 3)

    def between(self, low: float, high: float) -> float:
        """Any time in a range."""
        return round(self.chance.uniform(low, high), 3)

    def some(self, names: list[str], most: int | None = None) -> list[str]:
        """One or more of some names."""
        count = self.chance.randint(1, min(len(names), most or len(names)))
        return sorted(self.chance.sample(names, count))

    def nodes(self, who: Who) -> list[str]:
        """Those that a card is about."""
        match who:
            case "leader":
                return [LEADER]
            case "follower":
                return self.some(self.followers, 1)
            case "followers":
                return self.some(self.followers)
            case "anybody":
                return self.some(self.everybody)
            case "few":
                return self.some(self.everybody, self.write_quorum)
            case "everybody":
                return self.everybody


def _faults(draw: Draw, seconds: float) -> Iterator[Fault]:
    cards = _dealt_cards(draw.chance)
    at_s = _FIRST_FAULT_S
    while True:
        faults = []
        for _ in range(draw.chance.choices((1, 2, 3), weights=(50, 30, 20))[0]):
            start_s = at_s + draw.chance.uniform(0.0, _MOST_TOGETHER_S)
            card = next(cards)
            faults += [replace(f, at_s=round(start_s + f.at_s, 3)) for f in card(draw)]
        end_s = max(fault.end_s for fault in faults)
        if end_s > seconds:
            return
        yield from faults
        at_s = end_s + _RESTART_S + draw.chance.uniform(0.0, _LONGEST_CALM_S)


Card = Callable[[Draw], list[Fault]]
"""Makes faults; their times are from the moment the card is played."""


def _dealt_cards(chance: random.Random) -> Iterator[Card]:
    while True:
        yield from chance.sample(_DECK, len(_DECK))


def _one(action: Action, who: Who) -> Card:
    def play(draw: Draw) -> list[Fault]:
        nodes = draw.nodes(who)
        fault = Fault(
            action=action,
            nodes=nodes,
            seconds=draw.seconds(_MEAN_SLOW_S if action == "slow" else _MEAN_S),
            emptied=nodes if action == "empty" else [],
            way=draw.chance.choice(_WAYS) if action in ("cut", "stall") else "both ways",
            latency_s=draw.between(0.01, 0.3) if action == "slow" else 0.0,
            on_confirmation=action == "kill" and draw.chance.random() < 0.5,
        )
        return [fault]

    return play


def _again_and_again(action: Action) -> Card:
    """The leader's start is interrupted, and begins anew; where it was emptied its takeover is."""

    def play(draw: Draw) -> list[Fault]:
        (fault,) = _one(action, "leader")(draw)
        again = [draw.between(0.2, 1.8) for _ in range(draw.chance.randint(1, 3))]
        return [replace(fault, seconds=0.0, on_confirmation=False, kills_again_s=again)]

    return play


def _put_back(draw: Draw) -> list[Fault]:
    """Never the leader: what it confirms from an old copy is not promised."""
    nodes = draw.some(draw.followers, draw.write_quorum)
    seconds = draw.between(0.3, _LONGEST_S)
    return [Fault(action="put back", nodes=nodes, seconds=seconds, on_confirmation=True)]


def _leave_few_copies(draw: Draw) -> list[Fault]:
    """What is confirmed must be on the disks of those who keep them at this very moment."""
    fault = Fault(
        action="empty",
        nodes=draw.everybody,
        emptied=[LEADER, *draw.chance.sample(draw.followers, draw.write_quorum - 1)],
        seconds=draw.seconds(0.2),
        on_confirmation=True,
    )
    return [fault]


def _late_entries(draw: Draw) -> list[Fault]:
    """Entries of the old reign arrive after the claim of the new one."""
    nodes, seconds = draw.nodes("followers"), draw.between(1.5, _LONGEST_S)
    emptied = draw.chance.choice(([], [LEADER]))
    action: Action = "empty" if emptied else "kill"
    at_s = draw.between(0.1, 0.6)
    return [
        Fault(action="hold", nodes=nodes, seconds=seconds),
        Fault(at_s=at_s, action=action, nodes=[LEADER], emptied=emptied, seconds=0.0),
    ]


def _isolated_leader(draw: Draw) -> list[Fault]:
    """A leader has entries that nobody else has, is killed and returns, and then loses them."""
    way, killed_s, emptied_s = draw.chance.choice(_WAYS), draw.between(0.1, 0.5), draw.between(2, 3)
    return [
        Fault(action="cut", nodes=draw.followers, seconds=3.0, way=way),
        Fault(at_s=killed_s, action="kill", nodes=[LEADER], seconds=0.0),
        Fault(at_s=emptied_s, action="empty", nodes=[LEADER], emptied=[LEADER], seconds=0.0),
    ]


_DECK: tuple[Card, ...] = (
    _one("kill", "leader"),
    _one("kill", "followers"),
    _one("kill", "everybody"),
    _again_and_again("kill"),
    _one("kill worker", "anybody"),
    _one("stop", "anybody"),
    _one("empty", "follower"),
    _one("empty", "leader"),
    _one("empty", "few"),
    _again_and_again("empty"),
    *[_leave_few_copies] * 3,
    _put_back,
    _one("freeze", "leader"),
    _one("freeze", "followers"),
    _one("freeze", "anybody"),
    _one("cut", "followers"),
    _one("cut", "follower"),
    _one("stall", "followers"),
    _one("stall", "follower"),
    _one("slow", "followers"),
    _one("refuse", "followers"),
    *[_one("replay", "followers")] * 2,
    _one("raise quorum", "leader"),
    *[_late_entries] * 2,
    _isolated_leader,
)
