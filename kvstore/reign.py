"""One reign of a leader: what it says to each follower, and what the answers mean.

A follower is asked for its position first (hello), claimed if it belongs to an older reign, and
then either continues from its position, when the leader's log holds exactly that, or gets a
snapshot. There is no other back-up or truncation rule.
"""

from collections.abc import Callable

from kvstore.entries import START
from kvstore.leader_log import LeaderLog
from kvstore.messages import (
    Answer,
    Append,
    Claim,
    Hello,
    Message,
    SnapshotChunk,
)
from kvstore.progress import FollowerProgress, SnapshotTransfer, Stage, find_twin
from kvstore.records import Promise
from kvstore.takeover import HEARTBEAT_S, Deposed


class Reign:
    """A reign whose promise is durable on the leader.

    :param node: id of the leader's node.
    :param followers: all followers, by address.
    :param new_id: makes random ids.
    """

    def __init__(
        self,
        promise: Promise,
        node: str,
        log: LeaderLog,
        followers: dict[str, FollowerProgress],
        new_id: Callable[[], str],
    ) -> None:
        self._promise = promise
        self._node = node
        self._log = log
        self._followers = followers
        self._new_id = new_id
        for progress in followers.values():
            progress.restart()
        self.confirm()

    def next_message(self, progress: FollowerProgress, now_s: float) -> Message | None:
        """What to say to this follower now; None while there is nothing."""
        due = now_s - progress.last_sent_s >= HEARTBEAT_S
        header = self._promise.header()
        match progress.stage:
            case Stage.HELLO:
                return Hello(**header)
            case Stage.CLAIM:
                return progress.claim(header)
            case Stage.SNAPSHOT:
                return self._next_chunk(progress)
            case Stage.STREAM if due or progress.match_index < self._log.durable_index:
                return self._next_append(progress)
            case Stage.CONFLICT if due:
                return Hello(**header)
        return None

    def receive(self, progress: FollowerProgress, message: Message, answer: Answer) -> None:
        """Take in the answer to a message of this reign.

        :raises Deposed: the follower belongs to a later reign, or to a twin of this one.
        """
        if message.reign != self._promise.reign or self._in_conflict(progress, answer):
            return
        own = (self._promise.epoch, self._promise.reign)
        followed = (answer.epoch, answer.reign)
        if followed != own and (answer.epoch >= own[0] or self._promise.replaced_by(*followed)):
            raise Deposed(f"epoch {answer.epoch}, met at {progress.address}")
        if followed != own:
            progress.stage = Stage.CLAIM if isinstance(message, Hello) else Stage.HELLO
        elif answer.error is not None:
            progress.stage = Stage.HELLO
        elif isinstance(message, Hello | Claim):
            self._sync(progress, answer)
        elif isinstance(message, Append) and progress.stage is Stage.STREAM:
            confirmed = message.prev_index + len(message.entries)
            progress.match_index = max(progress.match_index, confirmed)
            progress.transfer = None
            self.confirm()
        elif isinstance(message, SnapshotChunk):
            self._chunk_arrived(progress, message)

    def confirm(self) -> None:
        """Judge the log again by what the followers hold."""
        self._log.confirm([progress.match_index for progress in self._followers.values()])

    def pinned(self) -> list[int]:
        """Indexes of the snapshots on their way, or just arrived."""
        return [p.transfer.position.index for p in self._followers.values() if p.transfer]

    # Conversation

    def _in_conflict(self, progress: FollowerProgress, answer: Answer) -> bool:
        followers = list(self._followers.values())
        if answer.cluster not in (None, self._promise.cluster):
            progress.conflict(f"{progress.address} belongs to another cluster")
        elif twin := find_twin(progress, answer.node, followers, self._node):
            progress.conflict(f"{progress.address} and {twin} are one node")
        elif progress.stage is Stage.CONFLICT:
            progress.stage = Stage.HELLO
        return progress.stage is Stage.CONFLICT

    def _sync(self, progress: FollowerProgress, answer: Answer) -> None:
        log = self._log.entries
        # An emptied follower is served best by the map, which is never larger than the log it
        # came from. One that was synced at the start has lost nothing and continues from there.
        emptied = answer.position == START and progress.synced_node != answer.node
        if log.contains(answer.position) and not (emptied and log.last != START):
            progress.match_index = answer.last_index
            progress.synced_node = answer.node
            progress.stage = Stage.STREAM
            self.confirm()
        else:
            progress.match_index = 0
            self._begin_snapshot(progress)

    def _next_append(self, progress: FollowerProgress) -> Message:
        prev = self._log.entries.position_at(progress.match_index)
        if prev is None:
            self._begin_snapshot(progress)
            return self._next_chunk(progress)
        entries = self._log.entries.after(prev.index, self._log.durable_index)
        progress.entries_sent += len(entries)
        return Append(
            **self._promise.header(),
            prev_index=prev.index,
            prev_epoch=prev.epoch,
            entries=entries,
            last_index=self._log.durable_index,
            commit_index=self._log.quorum.commit_index,
        )

    def _begin_snapshot(self, progress: FollowerProgress) -> None:
        progress.stage = Stage.SNAPSHOT
        progress.transfer = SnapshotTransfer(self._new_id(), self._log.map)

    def _next_chunk(self, progress: FollowerProgress) -> Message:
        transfer = progress.transfer
        assert transfer is not None
        items, requests, done = transfer.chunk()
        return SnapshotChunk(
            **self._promise.header(),
            snapshot=transfer.snapshot,
            index=transfer.position.index,
            index_epoch=transfer.position.epoch,
            offset=transfer.offset,
            items=items,
            requests=requests,
            done=done,
            last_index=self._log.durable_index,
        )

    def _chunk_arrived(self, progress: FollowerProgress, message: SnapshotChunk) -> None:
        transfer = progress.transfer
        if transfer is None or transfer.snapshot != message.snapshot:
            return
        transfer.offset += len(message.items) + len(message.requests)
        if message.done:
            progress.snapshots_sent += 1
            progress.synced_node = progress.node
            # It stays pinned until the first entries behind it have arrived: else a short log
            # could be cut in between, and the follower would need one snapshot after the other.
            progress.stage = Stage.HELLO
