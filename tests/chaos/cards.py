"""The kinds of faults: a campaign deals them like cards, each before any comes up again."""

import random
from collections.abc import Callable

from tests.chaos.fault import LEADER, Action, Fault, Way

_MEAN_S = 0.8
_LONGEST_S = 3.0
_WAYS: tuple[Way, ...] = ("both ways", "to the follower", "to the leader")


class Hand:
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

    def one(self, names: list[str]) -> list[str]:
        """One of some names."""
        return [self.chance.choice(names)]

    def way(self) -> Way:
        """A direction."""
        return self.chance.choice(_WAYS)


Card = Callable[[Hand], list[Fault]]
"""Makes faults; their times are from the moment the card is played."""


def _on(action: Action, nodes: Callable[[Hand], list[str]]) -> Card:
    def play(hand: Hand) -> list[Fault]:
        return [Fault(action=action, nodes=nodes(hand), seconds=hand.seconds())]

    return play


def _kill(nodes: Callable[[Hand], list[str]]) -> Card:
    def play(hand: Hand) -> list[Fault]:
        moment, killed = hand.chance.random() < 0.5, nodes(hand)
        seconds = hand.seconds()
        return [Fault(action="kill", nodes=killed, seconds=seconds, on_confirmation=moment)]

    return play


def _kill_leader_repeatedly(hand: Hand) -> list[Fault]:
    return [Fault(action="kill", nodes=[LEADER], seconds=0.0, kills_again_s=_kills_again(hand))]


def _empty_leader_repeatedly(hand: Hand) -> list[Fault]:
    """The takeover is interrupted, and starts over."""
    again = _kills_again(hand)
    return [
        Fault(action="empty", nodes=[LEADER], emptied=[LEADER], seconds=0.0, kills_again_s=again)
    ]


def _kills_again(hand: Hand) -> list[float]:
    return [hand.between(0.2, 1.8) for _ in range(hand.chance.randint(1, 3))]


def _empty(names: Callable[[Hand], list[str]]) -> Card:
    def play(hand: Hand) -> list[Fault]:
        emptied = names(hand)
        return [Fault(action="empty", nodes=emptied, emptied=emptied, seconds=hand.seconds())]

    return play


def _put_back(hand: Hand) -> list[Fault]:
    """Never the leader: what it confirms from an old copy is not promised."""
    nodes = hand.some(hand.followers, hand.write_quorum)
    seconds = hand.between(0.3, _LONGEST_S)
    return [Fault(action="put back", nodes=nodes, seconds=seconds, on_confirmation=True)]


def _leave_few_copies(hand: Hand) -> list[Fault]:
    """What is confirmed must be on the disks of those who keep them at this very moment."""
    emptied = [LEADER, *hand.chance.sample(hand.followers, hand.write_quorum - 1)]
    return [
        Fault(
            action="empty",
            nodes=hand.everybody,
            emptied=emptied,
            seconds=hand.seconds(0.2),
            on_confirmation=True,
        )
    ]


def _disturb(action: Action, followers: Callable[[Hand], list[str]]) -> Card:
    def play(hand: Hand) -> list[Fault]:
        seconds, way = hand.seconds(), hand.way()
        return [Fault(action=action, nodes=followers(hand), seconds=seconds, way=way)]

    return play


def _slow(hand: Hand) -> list[Fault]:
    latency_s, nodes = hand.between(0.01, 0.3), hand.some(hand.followers)
    return [Fault(action="slow", nodes=nodes, seconds=hand.seconds(2.0), latency_s=latency_s)]


def _late_entries(hand: Hand) -> list[Fault]:
    """Entries of the old reign arrive after the claim of the new one."""
    hold = Fault(
        action="hold", nodes=hand.some(hand.followers), seconds=hand.between(1.5, _LONGEST_S)
    )
    emptied = hand.chance.choice(([], [LEADER]))
    action: Action = "empty" if emptied else "kill"
    at_s = hand.between(0.1, 0.6)
    return [hold, Fault(at_s=at_s, action=action, nodes=[LEADER], emptied=emptied, seconds=0.0)]


def _isolated_leader(hand: Hand) -> list[Fault]:
    """A leader has entries that nobody else has, is killed and returns, and then loses them."""
    isolated = Fault(action="cut", nodes=hand.followers, seconds=3.0, way=hand.way())
    killed = Fault(at_s=hand.between(0.1, 0.5), action="kill", nodes=[LEADER], seconds=0.0)
    emptied = Fault(
        at_s=hand.between(2.2, 3.0), action="empty", nodes=[LEADER], emptied=[LEADER], seconds=0.0
    )
    return [isolated, killed, emptied]


def _leader(_hand: Hand) -> list[str]:
    return [LEADER]


def _follower(hand: Hand) -> list[str]:
    return hand.one(hand.followers)


def _followers(hand: Hand) -> list[str]:
    return hand.some(hand.followers)


def _anybody(hand: Hand) -> list[str]:
    return hand.some(hand.everybody)


def _as_many_as_may_be_lost(hand: Hand) -> list[str]:
    return hand.some(hand.everybody, hand.write_quorum)


DECK: tuple[Card, ...] = (
    _kill(_leader),
    _kill(_followers),
    _kill(lambda hand: hand.everybody),
    _kill_leader_repeatedly,
    _on("kill worker", _anybody),
    _on("stop", _anybody),
    _empty(_follower),
    _empty(_leader),
    _empty(_as_many_as_may_be_lost),
    _empty_leader_repeatedly,
    _leave_few_copies,
    _leave_few_copies,
    _leave_few_copies,
    _put_back,
    _on("freeze", _leader),
    _on("freeze", _followers),
    _on("freeze", _anybody),
    _disturb("cut", _followers),
    _disturb("cut", _follower),
    _disturb("stall", _followers),
    _disturb("stall", _follower),
    _slow,
    _on("refuse", _followers),
    _on("replay", _followers),
    _on("replay", _followers),
    _on("raise quorum", _leader),
    _late_entries,
    _late_entries,
    _isolated_leader,
)
