"""The histories of entries that leaders have made, against which every copy is compared."""

from msgspec import UNSET, Raw

from kvstore.core.entries import START, Entry, ReignId
from kvstore.core.idempotency_table import REMEMBERED_ENTRIES

Items = dict[str, tuple[int, bytes]]
Requests = tuple[tuple[str, int], ...]


class History:
    """One entry and everything before it; equal histories are one object.

    :param parent: what was before; None for the empty history.
    :param entry: the last entry; None for the empty history.
    :param remembered_entries: of the empty history: for how many entries a request is remembered.
    """

    __slots__ = (
        "confirmed",
        "entry",
        "index",
        "items",
        "parent",
        "position",
        "reign",
        "remembered_entries",
        "requests",
    )

    def __init__(
        self,
        parent: "History | None" = None,
        entry: Entry | None = None,
        *,
        remembered_entries: int = REMEMBERED_ENTRIES,
    ) -> None:
        self.parent = parent
        self.entry = entry
        self.remembered_entries: int = parent.remembered_entries if parent else remembered_entries
        self.index = 0
        self.position = START
        self.reign: ReignId | None = None
        """The reign in which the last entry was appended."""
        self.items: Items = {}
        """What a map holds after this history: key to version and value."""
        self.requests: Requests = ()
        """What a table of requests holds after this history: idempotency key and index."""
        self.confirmed = parent is None
        """Whether a leader has ever confirmed it."""
        if parent is not None and entry is not None:
            self.index = entry.index
            self.position = entry.position
            self.reign = parent.reign if entry.begins is UNSET else entry.begins
            self.items = dict(parent.items)
            self.items.pop(entry.key, None)
            if entry.operation == "put" and isinstance(entry.value, Raw):
                self.items[entry.key] = (entry.index, bytes(entry.value))
            forgotten = entry.index - self.remembered_entries
            self.requests = tuple(each for each in parent.requests if each[1] > forgotten)
            if isinstance(entry.idempotency_key, str):
                self.requests += ((entry.idempotency_key, entry.index),)

    @property
    def is_whole(self) -> bool:
        """Whether it does not end within a batch."""
        return self.entry is None or not self.entry.continues

    def at(self, index: int) -> "History | None":
        """The part up to an index; None if it does not reach that far."""
        part: History | None = self
        while part is not None and part.index > index:
            part = part.parent
        return part if part is not None and part.index == index else None

    def holds(self, other: "History") -> bool:
        """Whether the other is this one or an earlier part of it."""
        return self.at(other.index) is other

    def shares(self, other: "History", index: int) -> bool:
        """Whether it holds what the other holds up to an index."""
        part = other.at(index)
        return part is not None and self.holds(part)

    def entries_behind(self, index: int) -> list[Entry]:
        entries = []
        part: History | None = self
        while part is not None and part.entry is not None and part.index > index:
            entries.append(part.entry)
            part = part.parent
        return entries[::-1]

    def common(self, other: "History") -> "History":
        """The longest part that both share."""
        mine, theirs = self, other
        while mine is not theirs:
            if mine.index > theirs.index:
                mine = mine.parent or mine
            elif theirs.index > mine.index:
                theirs = theirs.parent or theirs
            else:
                mine, theirs = mine.parent or mine, theirs.parent or theirs
        return mine

    def confirm(self) -> None:
        """A leader has confirmed it, and with it everything before."""
        part: History | None = self
        while part is not None and not part.confirmed:
            part.confirmed = True
            part = part.parent
