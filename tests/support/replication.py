"""Makes entries, messages, leaders and followers, and lets them talk to each other."""

from itertools import count
from typing import TypeVar

from msgspec import UNSET, Raw

from kvstore.core.entries import START, Entry, Members, Position, ReignId
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


def first_entry(index: int = 1, of: ReignId = R1, members: Members | None = None) -> Entry:
    """The first entry of a reign."""
    return Entry(
        index=index,
        epoch=of.epoch,
        reign_id=of.id,
        operation="noop",
        begins=of,
        members=members or {},
    )


def naming_entry(index: int, members: Members, of: ReignId = R1) -> Entry:
    """An entry that names followers."""
    return Entry(index=index, epoch=of.epoch, reign_id=of.id, operation="noop", members=members)


def put(
    index: int, key: str = "k", value: str = "1", of: ReignId = R1, request: str | None = None
) -> Entry:
    return Entry(
        index=index,
        epoch=of.epoch,
        reign_id=of.id,
        operation="put",
        key=key,
        value=Raw(value.encode()),
        idempotency_key=UNSET if request is None else request,
        fingerprint=UNSET if request is None else "f",
    )


def delete(index: int, key: str = "k", of: ReignId = R1) -> Entry:
    return Entry(index=index, epoch=of.epoch, reign_id=of.id, operation="delete", key=key)


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


def append(
    *entries: Entry,
    prev: Position = START,
    of: ReignId = R1,
    last_index: int | None = None,
    commit_index: int = 0,
) -> Append:
    return Append(
        **header(of),
        prev_index=prev.index,
        prev_epoch=prev.epoch,
        prev_reign_id=prev.reign_id,
        entries=list(entries),
        last_index=prev.index + len(entries) if last_index is None else last_index,
        commit_index=commit_index,
    )


def chunk(of: ReignId = R1, position: Position | None = None, **changes: object) -> SnapshotChunk:
    """The only chunk of a snapshot, at the reign's ninth entry where nothing else is said."""
    position = position or at(9, of)
    fields: dict[str, object] = {
        "snapshot_id": "s",
        "index": position.index,
        "index_epoch": position.epoch,
        "index_reign_id": position.reign_id,
        "lineage": [ReignStart(of, 1)],
        "members": {},
        "offset": 0,
        "items": [],
        "requests": [],
        "done": True,
        "last_index": position.index,
    }
    return SnapshotChunk(**header(of), **{**fields, **changes})  # type: ignore[arg-type]


def make_empty_follower(node: str = "new", retain: int = 1000) -> Follower:
    return Follower(NodeState(node), retain, 1 << 20)


def make_follower(
    *held: Entry, node: str = "f", claimed: bool = True, retain: int = 1000
) -> Follower:
    """A follower of the first reign."""
    follower = make_empty_follower(node, retain)
    if claimed:
        assert follower.claim(claim(node=node)).error is None
        if held:
            assert follower.append(append(*held)).error is None
        save(follower)
    return follower


def make_state(node: str, *held: Entry, promise: Promise | None = None) -> NodeState:
    """What a node kept."""
    state = NodeState(node, promise or Promise())
    state.apply(SaveEntries(list(held)))
    return state


def save(node: Follower | Leader) -> None:
    """Make everything durable that waits for it."""
    while records := node.take_unsaved():
        for record in records:
            node.saved(record)


def kept_state(node: Follower | Leader) -> NodeState:
    """What is found in the directory of a node now; nothing else that it does is in there."""
    log = node.log if isinstance(node, Follower) else node.log.replication_log
    kv_map = node.map if isinstance(node, Follower) else node.log.map
    copy = KeyValueMap(kv_map.position, kv_map.items(), kv_map.requests.requests())
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
    """A leader that has taken over, and its followers.

    :param writes: how many they all hold beside the first entry.
    """
    leader = make_leader(
        None, followers, write_quorum, durable=True, naming_pause_s=naming_pause_s, **limits
    )
    others = {f"f{number}": make_empty_follower(f"n{number}") for number in range(followers)}
    talk(leader, others)
    assert leader.ready
    for _ in range(writes):
        write_durably(leader)
        talk(leader, others)
    return leader, others


def handle(follower: Follower, message: Message) -> Answer:
    """Let a follower handle a message; its answer is durable."""
    match message:
        case Hello():
            answer = follower.hello(message)
        case Claim():
            answer = follower.claim(message)
        case Append():
            answer = follower.append(message)
        case SnapshotChunk():
            answer = follower.snapshot(message)
        case Fetch():
            answer = follower.fetch(message)
    save(follower)
    return answer


def next_message(leader: Leader, address: str, kind: type[M], now_s: float = 0.0) -> M:
    """What the leader says to a follower next, which must be of this kind."""
    message = leader.next_message(address, now_s)
    assert isinstance(message, kind)
    return message


def exchange(leader: Leader, address: str, follower: Follower, now_s: float = 0.0) -> bool:
    """Let the leader say one thing to a follower, and hear the answer.

    :return: whether there was something to say.
    """
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
    """Write, durably on the leader.

    :return: index of the last entry.
    """
    for key in keys or ("k",):
        index = leader.propose(write(key), 0.0)
    save(leader)
    return index
