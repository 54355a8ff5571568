"""Entries, messages and nodes for the tests of the rules."""

from msgspec import Raw

from kvstore.entries import START, Entry, Position
from kvstore.follower import Follower
from kvstore.leader import Leader
from kvstore.leader_log import LogLimits, Write
from kvstore.messages import Answer, Append, Claim, SnapshotChunk
from kvstore.records import NodeState, Promise

CLUSTER = "c"
REIGN = "r"
NEVER = float("inf")


def put(index: int, key: str = "k", value: str = "1", epoch: int = 1) -> Entry:
    return Entry(index=index, epoch=epoch, operation="put", key=key, value=Raw(value.encode()))


def delete(index: int, key: str = "k", epoch: int = 1) -> Entry:
    return Entry(index=index, epoch=epoch, operation="delete", key=key)


def claim(epoch: int = 1, reign: str = REIGN, cluster: str = CLUSTER) -> Claim:
    return Claim(epoch=epoch, reign=reign, cluster=cluster, leader="http://leader")


def append(
    *entries: Entry,
    prev: Position = START,
    epoch: int = 1,
    reign: str = REIGN,
    last_index: int | None = None,
    commit_index: int = 0,
) -> Append:
    return Append(
        epoch=epoch,
        reign=reign,
        cluster=CLUSTER,
        leader="http://leader",
        prev_index=prev.index,
        prev_epoch=prev.epoch,
        entries=list(entries),
        last_index=prev.index + len(entries) if last_index is None else last_index,
        commit_index=commit_index,
    )


def chunk(**changes: object) -> SnapshotChunk:
    fields: dict[str, object] = {
        "epoch": 1,
        "reign": REIGN,
        "cluster": CLUSTER,
        "leader": "http://leader",
        "snapshot": "s",
        "index": 9,
        "index_epoch": 1,
        "offset": 0,
        "items": [],
        "requests": [],
        "done": True,
        "last_index": 9,
    }
    return SnapshotChunk(**{**fields, **changes})  # type: ignore[arg-type]


def follower(*, claimed: bool = True, retain: int = 1000) -> Follower:
    made = Follower(NodeState("f"), retain, 1 << 20)
    if claimed:
        assert made.claim(claim()).error is None
        save(made)
    return made


def save(node: Follower | Leader) -> None:
    """Make everything durable that waits for it."""
    while records := node.take_unsaved():
        for record in records:
            node.saved(record)


def leader(
    followers: int = 2, write_quorum: int = 1, *, state: NodeState | None = None, **limits: int
) -> Leader:
    """A leader; it leads at once when the state says that it led before."""
    ids = (f"id{number}" for number in range(10_000))
    made = Leader(
        state or NodeState("l", Promise(CLUSTER, 1, "old", "http://leader", led_epoch=1)),
        [f"f{number}" for number in range(followers)],
        write_quorum,
        url="http://leader",
        limits=LogLimits(**{"retain": 1000, **limits}),
        new_id=lambda: next(ids),
    )
    save(made)
    return made


def exchange(made: Leader, address: str, answering: Follower, now_s: float = 0.0) -> bool:
    """Let the leader say one thing to a follower, and hear the answer.

    :return: whether there was something to say.
    """
    message = made.next_message(address, now_s)
    if message is None:
        return False
    handle = {
        "Hello": answering.hello,
        "Claim": answering.claim,
        "Append": answering.append,
        "SnapshotChunk": answering.snapshot,
        "Fetch": answering.fetch,
    }[type(message).__name__]
    answer: Answer = handle(message)  # type: ignore[operator]
    save(answering)
    made.receive(address, message, answer, now_s)
    save(made)
    return True


def talk(made: Leader, followers: dict[str, Follower], now_s: float = 0.0) -> None:
    """Let them converse until nobody has anything to say."""
    for _ in range(1000):
        said = [exchange(made, address, each, now_s) for address, each in followers.items()]
        if not any(said):
            return
    raise AssertionError("they talk for ever")


def write(key: str = "k", value: str = "1", request: str | None = None) -> Write:
    return Write("put", key, Raw(value.encode()), request)
