"""One reign of a leader: what it says to each follower, and what the answers mean.

A follower is asked for its position first (hello), claimed if it belongs to an earlier reign, and
then either continues from its position, when the leader's log holds exactly that, or gets a
snapshot. There is no other back-up or truncation rule. An unknown follower is only asked, see
:mod:`kvstore.core.known_followers`.
"""

from collections.abc import Callable

from kvstore.core.entries import MAX_EPOCH_JUMP, START, ReignId, members_at
from kvstore.core.errors import Deposed, OldCopy
from kvstore.core.known_followers import NAMING_PAUSE_S, KnownFollowers
from kvstore.core.leader_log import LeaderLog
from kvstore.core.messages import Answer, Append, Claim, Hello, Message, SnapshotChunk
from kvstore.core.progress import FollowerProgress, SnapshotTransfer, Stage, find_twin
from kvstore.core.records import Promise, Record

PIN_S = 60.0
"""How long the log behind a snapshot is kept for a follower that does not answer."""


class Reign:
    """A reign whose promise is durable on the leader.

    :param node: id of the leader's node.
    :param log: its first entry is appended already.
    :param followers: all followers, by address.
    :param new_id: makes random ids.
    :param save: takes the records of what changes.
    :param naming_pause_s: see :class:`KnownFollowers`.
    """

    def __init__(  # noqa: PLR0917 (as the docstring lists them)
        self,
        promise: Promise,
        node: str,
        log: LeaderLog,
        followers: dict[str, FollowerProgress],
        new_id: Callable[[], str],
        save: Callable[[Record], None],
        naming_pause_s: float = NAMING_PAUSE_S,
    ) -> None:
        self._node = node
        self._log = log
        self._followers = followers
        self._new_id = new_id
        self._known = KnownFollowers(promise, log, followers, save, naming_pause_s)
        self.problem: str | None = None
        """What an operator has to fix; None if nothing."""
        for progress in followers.values():
            progress.restart()
        self.confirm()

    @property
    def promise(self) -> Promise:
        """The promise to lead, with the followers known by now."""
        return self._known.promise

    @property
    def id(self) -> ReignId:
        return self._known.reign

    @property
    def needs_decision(self) -> bool:
        """Whether only an operator can decide how to continue, by forcing a takeover."""
        return self._known.lack_a_voucher or any(
            p.is_claimed_elsewhere for p in self._followers.values()
        )

    def next_message(self, progress: FollowerProgress, now_s: float) -> Message | None:
        """What to send to this follower now; None while there is nothing."""
        due = progress.is_due(now_s)
        header = self.promise.header()
        self._unpin_if_gone(progress, now_s)
        match progress.stage:
            case Stage.HELLO:
                return Hello(**header)
            case Stage.CLAIM:
                members = members_at(self._followers, self.promise.members)
                return progress.claim(header, members, progress.followed)
            case Stage.SNAPSHOT:
                return self._next_chunk(progress)
            case Stage.STREAM if due or progress.match_index < self._log.durable_index:
                return self._next_append(progress)
            case Stage.CONFLICT | Stage.UNKNOWN if due:
                return Hello(**header)
        return None

    def receive(
        self, progress: FollowerProgress, message: Message, answer: Answer, now_s: float
    ) -> None:
        """Handle the answer to a message of this reign.

        :raises Deposed: the follower belongs to a later reign, or to a twin of this one.
        :raises OldCopy: the follower holds entries of this epoch that the leader lacks.
        """
        if message.reign_id != self.id.id:
            return
        if self._is_over(answer.followed) and not self._is_elsewhere(answer):
            raise Deposed(f"epoch {answer.epoch}, met at {progress.address}")
        if not self._in_conflict(progress, answer):
            self._converse(progress, message, answer, now_s)
        if isinstance(message, Hello) or progress.stage is Stage.CONFLICT:
            self._look_for_problems()

    def lost(self, progress: FollowerProgress, reason: str) -> None:
        """A message got no answer, or the connection is gone."""
        progress.lost(reason)
        self._look_for_problems()

    def confirm(self) -> None:
        """Recompute the commit index from what the followers hold."""
        self._log.confirm([progress.confirmed_index for progress in self._followers.values()])

    def saved(self, promise: Promise) -> None:
        """A promise is durable: the followers that it names count."""
        self._known.saved(promise)
        self._look_for_problems()

    def pinned(self) -> list[int]:
        """Indexes after which followers whose snapshot is on its way, or has arrived, continue."""
        followers = self._followers.values()
        return [max(p.transfer.position.index, p.match_index) for p in followers if p.transfer]

    def _look_for_problems(self) -> None:
        followers = self._followers.values()
        conflicts = [p.problem for p in followers if p.stage is Stage.CONFLICT]
        self.problem = conflicts[0] if conflicts else None
        if self._known.lack_a_voucher:
            unknown = [p.address for p in followers if p.stage is Stage.UNKNOWN]
            self.problem = (
                f"{', '.join(unknown)}: unknown to this leader, and no follower that it knows "
                "answers; wait for one, or POST /admin/force_start"
            )

    # Who counts

    def _is_over(self, followed: ReignId | None) -> bool:
        if followed is not None and followed.epoch > self.id.epoch + MAX_EPOCH_JUMP:
            return False
        return self.id.is_deposed_by(followed)

    def _is_elsewhere(self, answer: Answer) -> bool:
        return answer.cluster_id not in (None, self.promise.cluster_id)

    def _in_conflict(self, progress: FollowerProgress, answer: Answer) -> bool:
        followers = list(self._followers.values())
        elsewhere = self._is_elsewhere(answer)
        if elsewhere and answer.position != START:
            progress.conflict(
                f"{progress.address} holds entries of another cluster, {answer.cluster_id}: either "
                "it does not belong here, or the directories of one side have to be emptied"
            )
        elif elsewhere and self._is_over(answer.followed):
            progress.conflict(
                f"{progress.address} is empty, and claimed by a leader of another cluster; "
                "POST /admin/force_start to take it over",
                is_claimed_elsewhere=True,
            )
        elif answer.epoch > self.id.epoch + MAX_EPOCH_JUMP:
            progress.conflict(
                f"the epoch of {progress.address}, {answer.epoch}, is implausibly high"
            )
        elif twin := find_twin(progress, answer.node_id, followers, self._node):
            progress.conflict(f"{progress.address} and {twin} are one node")
        elif progress.stage is Stage.CONFLICT:
            progress.stage = Stage.HELLO
        return progress.stage is Stage.CONFLICT

    # Conversation

    def _converse(
        self, progress: FollowerProgress, message: Message, answer: Answer, now_s: float
    ) -> None:
        followed = answer.followed
        if self._is_old_copy(answer):
            raise OldCopy(progress.address)
        if isinstance(message, Hello) and not self._known.meet(progress, now_s):
            progress.stage = Stage.UNKNOWN
        elif followed != self.id:
            progress.stage = Stage.CLAIM if isinstance(message, Hello) else Stage.HELLO
        elif answer.error is not None:
            self._refused(progress, message)
        elif isinstance(message, Hello | Claim):
            self._sync(progress, answer)
        elif isinstance(message, Append) and progress.stage is Stage.STREAM:
            self._acknowledged(progress, message, answer)
        elif isinstance(message, SnapshotChunk):
            self._chunk_arrived(progress, message)

    def _is_old_copy(self, answer: Answer) -> bool:
        """Whether the follower holds entries of this epoch that this leader lacks."""
        log = self._log.replication_log
        return answer.last_epoch == self.id.epoch and not log.contains(answer.position)

    def _refused(self, progress: FollowerProgress, message: Message) -> None:
        progress.stage = Stage.HELLO
        if isinstance(message, SnapshotChunk) and progress.transfer is not None:
            progress.transfer.offset = 0  # it has restarted, and lost what came before

    def _sync(self, progress: FollowerProgress, answer: Answer) -> None:
        log, position = self._log.replication_log, answer.position
        progress.match_index = min(progress.match_index, answer.last_index)
        # An emptied follower is served best by the map, which is never larger than the log it
        # came from. But one that was already synced while empty has lost nothing and continues
        # from there, and on a first start there is nothing but the first entry.
        emptied = position == START and progress.synced_node_id != answer.node_id
        by_map = emptied and self._log.map.position.index > 1
        if log.contains(position) and log.reaches_back_to(position.index) and not by_map:
            progress.sent_index = answer.last_index
            progress.synced_node_id = answer.node_id
            progress.stage = Stage.STREAM
        else:
            progress.match_index = 0
            self._begin_snapshot(progress)

    def _acknowledged(self, progress: FollowerProgress, message: Append, answer: Answer) -> None:
        if not self._is_confirmed(message, answer):
            progress.match_index = min(progress.match_index, answer.last_index)
            progress.stage = Stage.HELLO
            return
        progress.sent_index = message.end_index
        progress.match_index = max(progress.match_index, message.end_index)
        if progress.match_index >= self._log.durable_index:
            progress.transfer = None
        self._known.vouched(progress)
        self.confirm()

    def _is_confirmed(self, message: Append, answer: Answer) -> bool:
        # Only where the follower's whole log is a part of this one is its end a part of it, too.
        log = self._log.replication_log
        return answer.last_index >= message.end_index and log.contains(answer.position)

    def _next_append(self, progress: FollowerProgress) -> Message:
        log = self._log.replication_log
        prev = log.position_at(progress.sent_index)
        if prev is None or not log.reaches_back_to(prev.index):
            self._begin_snapshot(progress)
            return self._next_chunk(progress)
        entries = log.after(prev.index, self._log.durable_index, self._log.limits.message_entries)
        progress.entries_sent += len(entries)
        return Append(
            **self.promise.header(),
            prev_index=prev.index,
            prev_epoch=prev.epoch,
            prev_reign_id=prev.reign_id,
            entries=entries,
            last_index=self._log.durable_index,
            commit_index=self._log.commit_index,
        )

    def _begin_snapshot(self, progress: FollowerProgress) -> None:
        """Send the map, or resume a transfer that a lost connection interrupted."""
        progress.stage = Stage.SNAPSHOT
        if progress.transfer is None or progress.transfer.done:
            progress.transfer = SnapshotTransfer(
                self._new_id(), self._log.map, self._log.limits.message_entries
            )

    def _next_chunk(self, progress: FollowerProgress) -> Message:
        transfer = progress.transfer
        assert transfer is not None
        items, requests, done = transfer.chunk()
        log, position = self._log.replication_log, transfer.position
        return SnapshotChunk(
            **self.promise.header(),
            snapshot_id=transfer.snapshot,
            index=position.index,
            index_epoch=position.epoch,
            index_reign_id=position.reign_id,
            lineage=list(log.lineage.up_to(position.index)),
            members=log.members,
            offset=transfer.offset,
            items=items,
            requests=requests,
            done=done,
            last_index=self._log.durable_index,
        )

    def _chunk_arrived(self, progress: FollowerProgress, message: SnapshotChunk) -> None:
        transfer = progress.transfer
        if transfer is None or transfer.snapshot != message.snapshot_id:
            return
        transfer.offset = message.offset + len(message.items) + len(message.requests)
        if message.done:
            transfer.finish()
            progress.snapshots_sent += 1
            progress.synced_node_id = progress.node_id
            # The log stays pinned until the follower has caught up: otherwise a short one could be
            # cut meanwhile, and the follower would need one snapshot after another.
            progress.stage = Stage.HELLO

    def _unpin_if_gone(self, progress: FollowerProgress, now_s: float) -> None:
        contact_s = progress.last_contact_s
        if not progress.reachable and contact_s is not None and now_s - contact_s > PIN_S:
            progress.transfer = None
