"""What the leader knows of one follower."""

from enum import Enum

from kvstore.entries import Item, Request
from kvstore.key_value_map import KeyValueMap
from kvstore.messages import Answer, Claim, Header, bounded


class Stage(Enum):
    """What the leader has to say next to a follower. The values are shown in ``/status``."""

    HELLO = "connecting"  # ask for its position
    CLAIM = "claiming"  # begin the reign there
    SNAPSHOT = "snapshot"  # send the map
    STREAM = "streaming"  # send entries, or heartbeats
    CONFLICT = "conflict"  # it must not be replicated to; ask again now and then


class SnapshotTransfer:
    """A copy of the map on its way to one follower.

    :param snapshot: random id.
    :param kv_map: what to copy.
    """

    def __init__(self, snapshot: str, kv_map: KeyValueMap) -> None:
        self.snapshot = snapshot
        self.position = kv_map.position
        self.offset = 0
        self._parts: list[Item | Request] = [*kv_map.items(), *kv_map.requests.requests()]

    def chunk(self) -> tuple[list[Item], list[Request], bool]:
        """The next items and requests, bounded in bytes, and whether they are the last."""
        parts = bounded(self._parts, self.offset, len(self._parts))
        items = [part for part in parts if isinstance(part, Item)]
        requests = [part for part in parts if isinstance(part, Request)]
        return items, requests, self.offset + len(parts) == len(self._parts)


class FollowerProgress:
    """One follower, as the leader sees it.

    :param address: ``host:port``.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.stage = Stage.HELLO
        self.node: str | None = None
        self.epoch = 0
        self.reign: str | None = None
        """The reign it belongs to, by its last answer."""
        self.synced_node: str | None = None
        """The node whose position was verified in this reign; None while none was."""
        self.match_index = 0
        self.transfer: SnapshotTransfer | None = None
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

    def answered(self, answer: Answer, now_s: float) -> None:
        """Any answer proves the contact, and says which node it is."""
        self.reachable = True
        self.problem = None
        self.last_contact_s = now_s
        self.epoch, self.reign = answer.epoch, answer.reign
        if self.node != answer.node:
            self.node = answer.node
            self.restart()

    def claim(self, header: Header) -> Claim:
        """The message that begins a reign at this follower."""
        return Claim(**header, after_epoch=self.epoch, after_reign=self.reign)

    def lost(self, reason: str) -> None:
        """The last message got no answer; the next thing to do is to ask for the position."""
        self.reachable = False
        self.problem = reason
        self.stage = Stage.HELLO
        self.transfer = None

    def restart(self) -> None:
        """Forget what it holds: another node is there, or another reign begins."""
        self.stage = Stage.HELLO
        self.synced_node = None
        self.match_index = 0
        self.transfer = None

    def conflict(self, problem: str) -> None:
        """It must not be replicated to, and nothing it holds counts."""
        self.restart()
        self.node = None
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
        if other is not progress and other.node == node:
            if other.reachable:
                return other.address
            # The node moved here; what it held is counted under its new address only.
            other.node = None
            other.restart()
    return None
