"""How much of everything is measured."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Options:
    """The size of the measurements.

    :param seconds: of each load.
    :param many: number of keys where a million is meant.
    :param entries: that a follower has to catch up.
    :param at_once: connections that are opened at the same time.
    :param soak_minutes: length of the long run; 0 = none.
    :param folder: for logs and data; every measurement makes one of its own in it.
    """

    seconds: int
    many: int
    entries: int
    at_once: int
    soak_minutes: int
    folder: Path
