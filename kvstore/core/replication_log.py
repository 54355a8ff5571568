"""The ordered log: entries without gaps, after a base.

The base is the position just before the oldest entry kept. What lies before it survives
only in the key-value map; a follower that needs it gets a snapshot.
What the noops say is kept beside the entries: which reigns appended them, and who follows.
"""

from collections.abc import Iterable
from itertools import islice

from msgspec import UNSET

from kvstore.core.entries import START, Entry, Members, Position
from kvstore.core.errors import EntriesCut
from kvstore.core.export import MAX_ENTRIES, bounded
from kvstore.core.lineage import Lineage


class ReplicationLog:
    """Entries ``base.index + 1 … last.index``, in order.

    :param base: position of the last entry that is no longer kept.
    :param entries: those after it; when they were appended is not known.
    :param lineage: the reigns up to the base, at least.
    :param members: the followers named up to the base, at least.
    """

    def __init__(
        self,
        base: Position = START,
        entries: Iterable[Entry] = (),
        lineage: Lineage | None = None,
        members: Members | None = None,
    ) -> None:
        self.base = base
        self.lineage = (lineage or Lineage()).up_to(base.index)
        self.members = members or {}
        self.last = base
        self.size = 0
        self._entries: list[Entry] = []
        self._appended_at_s: list[float] = []
        for entry in entries:
            self.append(entry)

    def append(self, entry: Entry, now_s: float = 0.0) -> None:
        """Put one entry at the end.

        :param entry: must have the next index and no lower epoch than the last.
        :param now_s: time of the append, for lag figures; 0 = not known.
        """
        assert entry.index == self.last.index + 1, "the log has no gaps"
        assert entry.epoch >= self.last.epoch, "epochs never fall along the log"
        self._entries.append(entry)
        self._appended_at_s.append(now_s)
        if entry.begins is not UNSET:
            self.lineage = self.lineage.extended(entry.begins, entry.index)
        if entry.members is not UNSET:
            self.members = entry.members
        self.last = entry.position
        self.size += entry.size

    def __getitem__(self, index: int) -> Entry:
        assert self.base.index < index <= self.last.index, f"index {index} is not in the log"
        return self._entries[index - self.base.index - 1]

    def appended_at_s(self, index: int) -> float:
        """When the entry at this index was appended; 0 = not known.

        For an entry that was cut, the time of the oldest one kept.
        """
        if not self._appended_at_s:
            return 0.0
        return self._appended_at_s[max(index - self.base.index - 1, 0)]

    def position_at(self, index: int) -> Position | None:
        """Position at an index, cut or not; None if there is no entry, or it is no longer known."""
        return self.lineage.position_at(index) if index <= self.last.index else None

    def contains(self, position: Position) -> bool:
        """Whether this position, and so all before it, is part of this log, cut or not."""
        return self.position_at(position.index) == position

    def reaches_back_to(self, index: int) -> bool:
        """Whether all entries after an index are kept."""
        return self.base.index <= index <= self.last.index

    def after(self, index: int, through: int, max_entries: int = MAX_ENTRIES) -> list[Entry]:
        """Entries after an index, as many as fit into one message.

        A batch is never cut, so that no node ever holds a part of one; where it alone is more than
        fits, it travels alone.

        :param index: at least ``base.index``.
        :param through: highest index wanted.
        :param max_entries: entries in one message.
        :return: entries ``index + 1 …`` in order.
        """
        assert index >= self.base.index, "a cut entry was asked for"
        start, stop = index - self.base.index, through - self.base.index
        fitting = bounded(self._entries, start, stop, max_entries)
        whole = len(fitting)
        while whole > 0 and fitting[whole - 1].continues:
            whole -= 1
        if whole > 0 or not fitting:
            return fitting[:whole]
        end = start
        while self._entries[end].continues:
            end += 1
        return self._entries[start : end + 1]

    def confirmed_after(self, index: int, confirmed: int) -> list[Entry]:
        """The next entries that are known to be confirmed, a message full of them.

        :param index: what the reader has; it may be more than this node has.
        :param confirmed: the greatest index that is known to be confirmed.
        :raises EntriesCut: the log no longer reaches back to it.
        """
        if index < self.base.index:
            raise EntriesCut(max(confirmed, self.base.index))
        return self.after(index, confirmed) if index < confirmed else []

    def entries(self, behind: int = 0) -> list[Entry]:
        """All entries kept after an index, oldest first."""
        return self._entries[max(behind - self.base.index, 0) :]

    def cut(self, through: int) -> None:
        """Drop entries up to and including an index, which becomes the base."""
        position = self[through].position
        count = through - self.base.index
        self.size -= sum(entry.size for entry in self._entries[:count])
        del self._entries[:count]
        del self._appended_at_s[:count]
        self.base = position

    def retention_cut(self, floor: int, max_entries: int, max_bytes: int) -> int | None:
        """Where to cut so that the log keeps its retention, or None while it is not worth it.

        :param floor: highest index that may go.
        :param max_entries: entries to keep; the log may exceed it by a tenth between cuts.
        :param max_bytes: bytes to keep, likewise.
        """
        slack = 1.1
        if floor <= self.base.index:
            return None
        if len(self._entries) > max_entries * slack:
            return min(self.last.index - max_entries, floor)
        if self.size > max_bytes * slack:
            target, size = self.base.index, self.size
            # Not beyond the floor, so that each entry is looked at only once, when it is cut.
            for entry in islice(self._entries, floor - self.base.index):
                if size <= max_bytes:
                    break
                target, size = entry.index, size - entry.size
            return target
        return None
