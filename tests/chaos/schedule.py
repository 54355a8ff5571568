"""Which faults a campaign makes, on which nodes and when: decided by the seed alone."""

import random
from collections.abc import Iterator

from msgspec.structs import replace

from tests.chaos.cards import DECK, Card, Hand
from tests.chaos.fault import Fault

_FIRST_FAULT_S = 1.0
_MOST_TOGETHER_S = 0.7  # between the beginnings of cards that are played together
_RESTART_S = 0.8  # about what a node takes to start: the next faults shall meet a whole cluster
_LONGEST_CALM_S = 1.2


def make_schedule(seed: int, seconds: float, followers: int, write_quorum: int) -> list[Fault]:
    """Draw the faults of a campaign: one at a time, and several together.

    :param seconds: length of the campaign; every fault ends before.
    :return: in the order of their beginnings.
    """
    chance = random.Random(f"schedule {seed}")
    rounds = _rounds(chance, Hand(chance, followers, write_quorum), seconds)
    faults = sorted((fault for faults in rounds for fault in faults), key=lambda fault: fault.at_s)
    return [replace(fault, number=number) for number, fault in enumerate(faults, start=1)]


def _rounds(chance: random.Random, hand: Hand, seconds: float) -> Iterator[list[Fault]]:
    cards = _dealt_cards(chance)
    at_s = _FIRST_FAULT_S
    while True:
        faults = []
        for _ in range(chance.choices((1, 2, 3), weights=(50, 30, 20))[0]):
            start_s = at_s + chance.uniform(0.0, _MOST_TOGETHER_S)
            card = next(cards)
            faults += [replace(f, at_s=round(start_s + f.at_s, 3)) for f in card(hand)]
        end_s = max(fault.end_s for fault in faults)
        if end_s > seconds:
            return
        yield faults
        at_s = end_s + _RESTART_S + chance.uniform(0.0, _LONGEST_CALM_S)


def _dealt_cards(chance: random.Random) -> Iterator[Card]:
    while True:
        yield from chance.sample(DECK, len(DECK))
