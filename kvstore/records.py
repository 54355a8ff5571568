"""What a node must not forget, and the records of each change to it.

The core changes its state, and leaves a record of the change for the storage to save. When the
storage reports it saved, the core goes on: only then is the change confirmed, sent or served.
"""

from dataclasses import dataclass, field

from kvstore.entries import Entry, Item, Position, Request
from kvstore.key_value_map import KeyValueMap
from kvstore.messages import Header
from kvstore.replication_log import ReplicationLog


@dataclass(frozen=True, slots=True)
class Promise:
    """The reign a node belongs to: as its leader, or as a follower that accepted its claim.

    :param cluster: id of the cluster; None before the first reign.
    :param epoch: number of the reign; 0 for none.
    :param reign: random id of the reign; None for none. The reigns of a leader that restarts
        from its own state share what is before the dot.
    :param leader: URL of its leader; None for none.
    :param led_epoch: the epoch in which this node took over the complete state that it leads
        with since; None for a follower and for a leader whose takeover is not finished.
    :param deposed_by: who ended this leader's reign; None while nobody did.
    """

    cluster: str | None = None
    epoch: int = 0
    reign: str | None = None
    leader: str | None = None
    led_epoch: int | None = None
    deposed_by: str | None = None

    @property
    def lineage(self) -> str:
        """What all reigns of this leader since its takeover have in common."""
        assert self.reign is not None, "no reign has begun"
        return self.reign.partition(".")[0]

    def replaced_by(self, epoch: int, reign: str | None) -> bool:
        """Whether this reign shows that another leader has taken over since this one did.

        The epoch alone does not: a leader that restarts out of reach raises its own every time.
        An emptied follower may even meet a twin of the epoch of this takeover.
        """
        assert self.led_epoch is not None, "only a leader can be replaced"
        return (
            epoch >= self.led_epoch
            and reign is not None
            and reign.partition(".")[0] != self.lineage
        )

    def header(self) -> Header:
        """What the leader of this reign puts into every message."""
        assert self.reign is not None, "no reign has begun"
        assert self.leader is not None, "a reign has a leader"
        return Header(cluster=self.cluster, epoch=self.epoch, reign=self.reign, leader=self.leader)


@dataclass(frozen=True, slots=True)
class SavePromise:
    """The node belongs to another reign now."""

    promise: Promise


@dataclass(frozen=True, slots=True)
class SaveEntries:
    """Entries were appended to the log.

    :param synced_epoch: the last reign whose order this log is known to follow.
    """

    entries: list[Entry]
    synced_epoch: int


@dataclass(frozen=True, slots=True)
class ReplaceState:
    """Map and log were replaced as a whole, in one step with the promise.

    :param position: position of the map.
    :param base: position before the first of the entries, which reach up to ``position``.
    """

    promise: Promise
    synced_epoch: int
    position: Position
    items: list[Item]
    requests: list[Request]
    base: Position
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class CutLog:
    """Entries up to this index are no longer kept."""

    through: int


Record = SavePromise | SaveEntries | ReplaceState | CutLog


@dataclass(slots=True)
class NodeState:
    """Everything a node starts with.

    :param node: id of the node.
    :param synced_epoch: see :class:`SaveEntries`; 0 for none.
    :param map: at the log's last position.
    """

    node: str
    promise: Promise = Promise()
    synced_epoch: int = 0
    map: KeyValueMap = field(default_factory=KeyValueMap)
    log: ReplicationLog = field(default_factory=ReplicationLog)
