"""The records of the changes to what a node must not forget.

The core changes its state, and leaves a record of the change for the storage to save. When the
storage reports it saved, the core goes on: only then is the change confirmed, sent or served. What
a record means is in :mod:`kvstore.core.node_state`.
"""

from dataclasses import dataclass, field

from kvstore.core.entries import Entry, Item, Members, Position, ReignId, RememberedRequest
from kvstore.core.lineage import Lineage
from kvstore.core.messages import Header


@dataclass(frozen=True, slots=True)
class Promise:
    """The reign a node belongs to: as its leader, or as a follower that accepted its claim.

    It must be durable before anybody is told of it. Raft's literature calls this the hard state.

    :param cluster_id: id of the cluster; None before the first reign.
    :param reign: the reign; None before the first one.
    :param leader_url: URL of its leader; None for none.
    :param members: the followers that its claims named. On a leader: those it knows, whose
        acknowledgements count.
    :param is_own: whether this node made the reign itself.
    :param has_led: whether this node led in it, with the complete state that it holds since.
    :param deposed_by: who ended this leader's reign; None while nobody did.
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
    """The node belongs to another reign now, or its leader knows other followers."""

    promise: Promise


@dataclass(frozen=True, slots=True)
class SaveEntries:
    """Entries were appended to the log."""

    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class StageParts:
    """Parts of another node's state have arrived; they are beside the node's own state.

    :param staging_id: id of that state's copy; another one's parts are forgotten.
    """

    staging_id: str
    items: list[Item]
    requests: list[RememberedRequest]


@dataclass(frozen=True, slots=True)
class ReplaceState:
    """The staged parts became the node's state, in one step with the promise.

    :param staging_id: id of the copy. Nothing was staged under it where the map is empty.
    :param position: position of the map.
    :param base: position before the first of the entries, which reach up to ``position``.
    :param lineage: the reigns up to ``position``.
    :param members: the followers named up to ``position``.
    :param discarded: entries of the state before that the new one does not hold, and items of its
        map where the entries are cut; they are kept apart, for people.
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
