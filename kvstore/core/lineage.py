"""Which reign appended which part of a log.

It also covers entries that the log no longer holds, and so tells whether one log is a prefix of
another, and where two diverge (compare Kafka's KIP-101).
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from kvstore.core.entries import START, Index, Position, ReignId

MAX_EARLIER_REIGNS = 1000
"""How many reigns of earlier epochs are kept; those of the present epoch always are."""


class ReignStart(Struct, frozen=True, array_like=True):
    """A part of the log.

    :param first_index: index of the noop with which the reign begins.
    """

    reign: ReignId
    first_index: Index


class Lineage:
    """The reigns of one log, oldest first; it never changes.

    :param starts: their first indexes rise.
    """

    __slots__ = ("_starts",)

    def __init__(self, starts: Iterable[ReignStart] = ()) -> None:
        self._starts = tuple(starts)

    def __iter__(self) -> Iterator[ReignStart]:
        return iter(self._starts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Lineage) and self._starts == other._starts

    def __hash__(self) -> int:
        return hash(self._starts)

    def __repr__(self) -> str:
        return f"Lineage({list(self._starts)})"

    def extended(
        self, reign: ReignId, first_index: int, max_earlier: int = MAX_EARLIER_REIGNS
    ) -> "Lineage":
        """With another reign, which begins at an index.

        :param max_earlier: how many reigns of earlier epochs it remembers.
        """
        starts = self._starts
        if len(starts) >= max_earlier and starts[0].reign.epoch < reign.epoch:
            starts = starts[1:]
        return Lineage([*starts, ReignStart(reign, first_index)])

    def up_to(self, index: int) -> "Lineage":
        """The part that ends with an index."""
        return Lineage(start for start in self._starts if start.first_index <= index)

    def reign_at(self, index: int) -> ReignId | None:
        """The reign that appended the entry at an index; None if it is no longer known."""
        for start in reversed(self._starts):
            if start.first_index <= index:
                return start.reign
        return None

    def position_at(self, index: int) -> Position | None:
        """Position of the entry at an index that the log reaches; None if no longer known."""
        if index == 0:
            return START
        reign = self.reign_at(index)
        return None if reign is None else Position(reign.epoch, index, reign.id)

    def common_index(self, last: int, other: "Lineage", other_last: int) -> int:
        """The highest index up to which two logs are the same.

        :param last: index of this log's last entry.
        :param other_last: index of the other's.
        :return: 0 if they have nothing in common, or it is no longer known.
        """
        theirs = dict(other._ends(other_last))
        shared = [min(end, theirs[start]) for start, end in self._ends(last) if start in theirs]
        return max(shared, default=0)

    def _ends(self, last: int) -> Iterator[tuple[ReignStart, int]]:
        ends = [start.first_index - 1 for start in self._starts[1:]]
        return zip(self._starts, [*ends, last], strict=False)


def holds_more(mine: tuple[Position, Lineage], theirs: tuple[Position, Lineage]) -> bool:
    """Whether a state holds everything that may have been confirmed and the other state holds.

    The highest epoch of the last entry wins; within it the longest, where one is a prefix of the
    other; where two diverge, the one whose reign there has the lower restart: a leader that
    restarts on an intact directory holds all that was sent before, so the other had an old copy.
    """
    position, lineage = mine
    other_position, other_lineage = theirs
    if position.epoch != other_position.epoch:
        return position.epoch > other_position.epoch
    common = lineage.common_index(position.index, other_lineage, other_position.index)
    if common == other_position.index:
        return True
    if common == position.index:
        return False
    return _wins_fork(lineage.reign_at(common + 1), other_lineage.reign_at(common + 1))


def _wins_fork(reign: ReignId | None, other: ReignId | None) -> bool:
    """Whether the branch of the one reign holds more than that of the other, where two part."""
    if reign is None or other is None or reign.takeover_id != other.takeover_id:
        return False
    return reign.restart < other.restart
