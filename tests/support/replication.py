"""Makes entries, messages, leaders and followers, and lets them talk to each other."""

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from msgspec import Raw, structs

from kvstore.core.entries import START, Entry, Members, Operation, Position, ReignId
from kvstore.core.follower import Follower
from kvstore.core.key_value_map import KeyValueMap
from kvstore.core.known_followers import NAMING_PAUSE_S
from kvstore.core.leader import Leader
from kvstore.core.leader_log import LogLimits, Write
from kvstore.core.lineage import ReignStart
from kvstore.core.messages import (
    Answer,
    Append,
    Claim,
    Fetch,
    Header,
    Hello,
    Message,
    SnapshotChunk,
)
from kvstore.core.node_state import NodeState
from kvstore.core.records import Promise, SaveEntries
from kvstore.core.replication_log import ReplicationLog

CLUSTER = "c"
URL = "http://leader:1"
NOW_MS = 5000
_NUMBERS = count()
M = TypeVar("M", bound=Message)


def reign(epoch: int = 1, restart: int = 0, takeover: str | None = None) -> ReignId:
    """A reign; those of one epoch are of one takeover unless another is named."""
    first = takeover or f"r{epoch}"
    return ReignId(epoch, restart, f"{first}.{restart}" if restart else first, first)


R1, R2 = reign(1), reign(2)


def header(of: ReignId = R1, cluster: str = CLUSTER) -> Header:
    return Promise(cluster, of, URL).header()


def hello(of: ReignId = R1) -> Hello:
    return Hello(**header(of))


def at(index: int, of: ReignId = R1) -> Position:
    return Position(of.epoch, index, of.id)


def _entry(index: int, of: ReignId, operation: Operation, **fields: Any) -> Entry:
    return Entry(index=index, epoch=of.epoch, reign_id=of.id, operation=operation, **fields)


def first_entry(index: int = 1, of: ReignId = R1, members: Members | None = None) -> Entry:
    """The first entry of a reign."""
    return _entry(index, of, "noop", begins=of, members=members or {})


def naming_entry(index: int, members: Members, of: ReignId = R1) -> Entry:
    """An entry that names followers."""
    return _entry(index, of, "noop", members=members)


def put(
    index: int, key: str = "k", value: str = "1", of: ReignId = R1, request: str | None = None
) -> Entry:
    made = {} if request is None else {"idempotency_key": request, "fingerprint": "f"}
    return _entry(index, of, "put", key=key, value=Raw(value.encode()), **made)


def delete(index: int, key: str = "k", of: ReignId = R1) -> Entry:
    return _entry(index, of, "delete", key=key)


def entries(last: int, first: int = 1, of: ReignId = R1) -> list[Entry]:
    """A reign's entries, from its first on."""
    return [first_entry(first, of), *(put(index, of=of) for index in range(first + 1, last + 1))]


def claim(
    of: ReignId = R1,
    *,
    node: str = "f",
    found: ReignId | None = None,
    members: Members | None = None,
    cluster: str = CLUSTER,
) -> Claim:
    return Claim(
        **header(of, cluster),
        node_id=node,
        found_reign_id=None if found is None else found.id,
        members=members or {},
    )


def append(*entries: Entry, prev: Position = START, of: ReignId = R1, **changes: Any) -> Append:
    """All that the leader holds behind a position, where nothing else is said."""
    batch = Append(
        **header(of),
        prev_index=prev.index,
        prev_epoch=prev.epoch,
        prev_reign_id=prev.reign_id,
        entries=list(entries),
        last_index=prev.index + len(entries),
        commit_index=0,
    )
    return structs.replace(batch, **changes)


def chunk(of: ReignId = R1, position: Position | None = None, **changes: Any) -> SnapshotChunk:
    """The only chunk of a snapshot, at the reign's ninth entry where nothing else is said."""
    position = position or at(9, of)
    whole = SnapshotChunk(
        **header(of),
        snapshot_id="s",
        index=position.index,
        index_epoch=position.epoch,
        index_reign_id=position.reign_id,
        lineage=[ReignStart(of, 1)],
        members={},
        offset=0,
        items=[],
        requests=[],
        done=True,
        last_index=position.index,
    )
    return structs.replace(whole, **changes)


def make_state(node: str, *held: Entry, promise: Promise | None = None) -> NodeState:
    """What a node kept."""
    state = NodeState(node, promise or Promise())
    state.apply(SaveEntries(list(held)))
    return state


def make_follower(
    node: str = "new", *held: Entry, promise: Promise | None = None, retain: int = 1000
) -> Follower:
    """A follower that belongs to no reign where no promise is given."""
    return Follower(make_state(node, *held, promise=promise), retain, 1 << 20)


def claimed_by_another(leader: Leader, of: ReignId, node: str) -> Follower:
    """A node that belongs to the reign of another leader of the same cluster."""
    return make_follower(node, promise=Promise(leader.promise.cluster_id, of, "http://other"))


def save(node: Follower | Leader) -> None:
    """Make everything durable that waits for it."""
    while records := node.take_unsaved():
        for record in records:
            node.saved(record)


def kept_state(node: Follower | Leader) -> NodeState:
    """What is found in the directory of a node now; nothing else that it does is in there."""
    log = node.log if isinstance(node, Follower) else node.log.replication_log
    copy = KeyValueMap(node.map.position, node.map.items(), node.map.requests.requests())
    for entry in log.entries(behind=copy.position.index):
        copy.apply(entry)
    copied = ReplicationLog(log.base, log.entries(), log.lineage, log.members)
    return NodeState(node.node_id, node.promise, copy, copied)


def make_leader(
    state: NodeState | None = None,
    followers: int = 2,
    write_quorum: int = 1,
    *,
    durable: bool = True,
    naming_pause_s: float = NAMING_PAUSE_S,
    **limits: int,
) -> Leader:
    """A leader, which takes over unless the state says that it led before.

    :param durable: whether its first records have been saved.
    """
    leader = Leader(
        state or NodeState("l"),
        [f"f{number}" for number in range(followers)],
        write_quorum,
        url=URL,
        limits=LogLimits(**{"retain": 1000, **limits}),
        new_id=lambda: f"id{next(_NUMBERS)}",
        now_ms=lambda: NOW_MS,
        naming_pause_s=naming_pause_s,
    )
    if durable:
        save(leader)
    return leader


def make_cluster(
    followers: int = 2,
    write_quorum: int = 1,
    *,
    writes: int = 0,
    naming_pause_s: float = NAMING_PAUSE_S,
    **limits: int,
) -> tuple[Leader, dict[str, Follower]]:
    """A leader that has taken over, and its followers; all hold the first entry and the writes."""
    leader = make_leader(
        None, followers, write_quorum, durable=True, naming_pause_s=naming_pause_s, **limits
    )
    others = {f"f{number}": make_follower(f"n{number}") for number in range(followers)}
    talk(leader, others)
    assert leader.ready
    for _ in range(writes):
        write_durably(leader)
        talk(leader, others)
    return leader, others


def handle(follower: Follower, message: Message) -> Answer:
    """Let a follower handle a message; its answer is durable."""
    handlers: dict[type[Message], Callable[[Any], Answer]] = {
        Hello: follower.hello,
        Claim: follower.claim,
        Append: follower.append,
        SnapshotChunk: follower.snapshot,
        Fetch: follower.fetch,
    }
    answer = handlers[type(message)](message)
    save(follower)
    return answer


def next_message(leader: Leader, address: str, kind: type[M], now_s: float = 0.0) -> M:
    """What the leader says to a follower next, which must be of this kind."""
    message = leader.next_message(address, now_s)
    assert isinstance(message, kind)
    return message


def exchange(leader: Leader, address: str, follower: Follower, now_s: float = 0.0) -> bool:
    """Let the leader say one thing, and hear the answer; whether there was something to say."""
    message = leader.next_message(address, now_s)
    if message is None:
        return False
    answer = handle(follower, message)
    leader.receive(address, message, answer, now_s)
    save(leader)
    return True


def talk(leader: Leader, followers: dict[str, Follower], now_s: float = 0.0) -> None:
    """Let them converse until nobody has anything to say."""
    for _ in range(1000):
        said = [exchange(leader, address, each, now_s) for address, each in followers.items()]
        if not any(said):
            return
    raise AssertionError("they talk for ever")


def write(key: str = "k", value: str = "1", request: str | None = None) -> Write:
    return Write("put", key, Raw(value.encode()), request)


def write_durably(leader: Leader, *keys: str) -> int:
    """Write, durably on the leader; the index of the last entry."""
    for key in keys or ("k",):
        index = leader.propose(write(key), 0.0)
    save(leader)
    return index
