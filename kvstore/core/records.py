"""The records of changes to a node's durable state.

The core changes its state, and leaves a record of the change for the storage to save. Only when the
storage reports the record saved is the change confirmed, sent or served. What a record means is
defined in :mod:`kvstore.core.node_state`.
"""

from dataclasses import dataclass, field

from kvstore.core.entries import Entry, Item, Members, Position, ReignId, RememberedRequest
from kvstore.core.lineage import Lineage
from kvstore.core.messages import Header


@dataclass(frozen=True, slots=True)
class Promise:
    """The reign a node belongs to: as its leader, or as a follower that accepted its claim.

    It must be durable before any other node hears of it. Raft calls this the hard state.

    :param cluster_id: id of the cluster; None before the first reign.
    :param reign: the reign; None before the first one.
    :param leader_url: URL of its leader; None for none.
    :param members: the followers that its claims named. On a leader: those it knows, whose
        acknowledgements count.
    :param is_own: whether this node began the reign itself.
    :param has_led: whether this node has led in it, and so holds the complete state.
    :param deposed_by: which reign ended this leader's, for people; None while none has.
    """

    cluster_id: str | None = None
    reign: ReignId | None = None
    leader_url: str | None = None
    members: Members = field(default_factory=dict)
    is_own: bool = False
    has_led: bool = False
    deposed_by: str | None = None

    @property
    def epoch(self) -> int:
        """The reign's epoch; 0 for none."""
        return 0 if self.reign is None else self.reign.epoch

    def header(self) -> Header:
        """What the leader of this reign puts into every message."""
        assert self.reign is not None, "no reign has begun"
        assert self.leader_url is not None, "a reign has a leader"
        return Header(
            cluster_id=self.cluster_id,
            epoch=self.reign.epoch,
            restart=self.reign.restart,
            reign_id=self.reign.id,
            takeover_id=self.reign.takeover_id,
            leader_url=self.leader_url,
        )


@dataclass(frozen=True, slots=True)
class SavePromise:
    """The node has joined another reign, or the known followers have changed."""

    promise: Promise


@dataclass(frozen=True, slots=True)
class SaveEntries:
    """Entries were appended to the log, all in one step: a storage saves all of them or none."""

    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class StageParts:
    """Parts of another node's state have arrived; they are kept beside the node's own state.

    :param staging_id: id of the copy; parts of any other copy are dropped.
    """

    staging_id: str
    items: list[Item]
    requests: list[RememberedRequest]


@dataclass(frozen=True, slots=True)
class ReplaceState:
    """The staged parts became the node's state, in one step with the promise.

    :param staging_id: id of the copy. Nothing was staged under it if the map is empty.
    :param position: position of the map.
    :param base: position before the first of the entries, which reach up to ``position``.
    :param lineage: the reigns up to ``position``.
    :param members: the followers named up to ``position``.
    :param discarded: entries of the previous state that the new one lacks, and items of its map
        where the entries that wrote them were cut; they are kept separately, for people.
    """

    promise: Promise
    staging_id: str
    position: Position
    base: Position
    entries: list[Entry]
    lineage: Lineage
    members: Members
    discarded: list[Entry | Item] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class CutLog:
    """Entries up to this index are no longer kept."""

    through: int


Record = SavePromise | SaveEntries | StageParts | ReplaceState | CutLog
