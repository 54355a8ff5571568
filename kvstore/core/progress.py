"""What the leader knows of one follower."""

from enum import Enum

from kvstore.core.entries import Item, Members, ReignId, RememberedRequest
from kvstore.core.export import MAX_ENTRIES, Export
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.messages import Answer, Claim, Header

HEARTBEAT_S = 0.5


class Stage(Enum):
    """What the leader has to send to a follower next. The values are shown in ``/status``."""

    HELLO = "connecting"  # ask for its position
    UNKNOWN = "unknown"  # wait until a known follower has vouched for the reign; ask now and then
    CLAIM = "claiming"  # begin the reign there
    SNAPSHOT = "snapshot"  # send the map
    STREAM = "streaming"  # send entries, or heartbeats
    CONFLICT = "conflict"  # it must not be replicated to; ask again now and then


class SnapshotTransfer:
    """A copy of the map on its way to one follower.

    :param snapshot: random id.
    :param kv_map: what to copy.
    :param max_entries: items or requests in one message.
    """

    def __init__(self, snapshot: str, kv_map: KeyValueMap, max_entries: int = MAX_ENTRIES) -> None:
        self.snapshot = snapshot
        self.position = kv_map.position
        self.offset = 0
        self.done = False
        """Whether all of it has arrived."""
        self._export = Export(kv_map.items(), kv_map.requests.requests(), max_entries=max_entries)

    def chunk(self) -> tuple[list[Item], list[RememberedRequest], bool]:
        """The next items and requests, bounded in bytes, and whether they are the last."""
        items, requests, _ = self._export.parts(self.offset)
        return items, requests, self.offset + len(items) + len(requests) == self._export.total

    def finish(self) -> None:
        """All of it has arrived: only its position is still needed."""
        self.done = True
        self._export = Export([], [])


class FollowerProgress:
    """One follower, as the leader sees it.

    :param address: ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.stage = Stage.HELLO
        self.node_id: str | None = None
        self.followed: ReignId | None = None
        """The reign it belongs to, according to its last answer."""
        self.synced_node_id: str | None = None
        """The node whose position was verified in this reign; None while none was."""
        self.sent_index = 0
        """The index from which entries are sent on; it says that it holds those up to here."""
        self.match_index = 0
        """What it has acknowledged in this reign."""
        self.named_index = 0
        """Index of the entry that names it; its acknowledgements count from there on."""
        self.transfer: SnapshotTransfer | None = None
        self.is_claimed_elsewhere = False
        self.reachable = False
        """Whether the last message got an answer."""
        self.problem: str | None = None
        """Why it does not answer, or must not be replicated to; None while all is well."""
        self.last_contact_s: float | None = None
        self.last_sent_s = float("-inf")
        self.entries_sent = 0
        self.snapshots_sent = 0

    @property
    def counts(self) -> bool:
        """Whether it can confirm writes now: it answers, and it follows this reign."""
        return self.reachable and self.stage in (Stage.STREAM, Stage.SNAPSHOT)

    @property
    def is_missing(self) -> bool:
        """Whether it was asked in vain; one that was not asked yet is not missing."""
        return not self.reachable and self.problem is not None

    @property
    def confirmed_index(self) -> int:
        """Up to where it counts as holding the log."""
        return self.match_index if self.match_index >= self.named_index else 0

    def is_due(self, now_s: float) -> bool:
        """Whether the last message was sent so long ago that a heartbeat is due."""
        return now_s - self.last_sent_s >= HEARTBEAT_S

    def answered(self, answer: Answer, now_s: float) -> None:
        """Note an answer: it proves contact, and says which node it is."""
        self.reachable = True
        self.problem = None
        self.last_contact_s = now_s
        self.followed = answer.followed
        if self.node_id != answer.node_id:
            self.node_id = answer.node_id
            self.restart()

    def claim(self, header: Header, members: Members, found: ReignId | None) -> Claim:
        """The message that begins a reign at this follower.

        :param members: the followers that the leader knows.
        :param found: the reign that the follower was found in.
        """
        assert self.node_id is not None, "a claim is for a node that has answered"
        found_reign = None if found is None else found.id
        return Claim(**header, node_id=self.node_id, found_reign_id=found_reign, members=members)

    def lost(self, reason: str) -> None:
        """The last message got no answer; next, the position is asked for again."""
        self.reachable = False
        self.problem = reason
        self.stage = Stage.HELLO

    def restart(self) -> None:
        """Forget what it holds: another node is there, or another reign begins."""
        self.stage = Stage.HELLO
        self.synced_node_id = None
        self.sent_index = self.match_index = self.named_index = 0
        self.is_claimed_elsewhere = False
        self.transfer = None

    def conflict(self, problem: str, *, is_claimed_elsewhere: bool = False) -> None:
        """Stop replicating to it; nothing it holds counts.

        :param is_claimed_elsewhere: whether it is empty, and in a later reign of another cluster.
        """
        self.restart()
        self.is_claimed_elsewhere = is_claimed_elsewhere
        self.node_id = None
        self.stage = Stage.CONFLICT
        self.problem = problem


def find_twin(
    progress: FollowerProgress, node: str, others: "list[FollowerProgress]", own_node: str
) -> str | None:
    """Find a second address of one node, which must not be counted twice.

    :param node: id of the node that answered at the address of ``progress``.
    :param others: all followers.
    :param own_node: id of the leader.
    :return: the other address; None if there is none.
    """
    if node == own_node:
        return "the leader itself"
    for other in others:
        if other is not progress and other.node_id == node:
            if other.reachable:
                return other.address
            # The node moved here; what it holds counts under its new address only.
            other.node_id = None
            other.restart()
    return None
