"""How a world is set up, and what is counted in it."""

from dataclasses import dataclass

from kvstore.core.idempotency_table import REMEMBERED_ENTRIES


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """How a cluster is set up.

    :param durable: whether the nodes keep a data directory.
    :param leader_retain: entries the leader's log keeps; few of them make many snapshots.
    :param follower_retain: entries a follower's log keeps.
    :param message_entries: entries or items in one message.
    :param remembered_entries: entries for which a request is remembered.
    """

    followers: int = 2
    write_quorum: int = 1
    durable: bool = True
    leader_retain: int = 1000
    follower_retain: int = 1000
    retain_bytes: int = 1 << 20
    max_pending: int = 50
    message_entries: int = 1000
    remembered_entries: int = REMEMBERED_ENTRIES
    request_timeout_s: float = 0.15


@dataclass(slots=True)
class Counts:
    """What has happened so far.

    :param confirmed: entries that were promised.
    """

    faults: int = 0
    writes: int = 0
    refused: int = 0
    confirmed: int = 0
