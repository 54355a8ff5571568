"""The copy of a follower's state that a leader takes over, fetched part by part."""

from collections.abc import Callable

from kvstore.core.entries import Entry
from kvstore.core.lineage import Lineage
from kvstore.core.message_checks import check_fetched
from kvstore.core.messages import Answer, Fetch, Fetched
from kvstore.core.records import Promise, Record, ReplaceState, StageParts


class StateFetch:
    """The copy of one follower's state.

    :param address: of the follower.
    :param claimed: its answer to the claim, since which its state cannot change.
    :param promise: of the reign that has claimed it.
    :param staging_id: of the copy, a random id.
    :param save: takes the records of the parts.
    """

    def __init__(
        self,
        address: str,
        claimed: Answer,
        promise: Promise,
        staging_id: str,
        save: Callable[[Record], None],
    ) -> None:
        self.address = address
        self.state: ReplaceState | None = None
        """All of it; None until it has arrived."""
        self._position = claimed.position
        self._lineage = Lineage(claimed.lineage)
        self._promise = promise
        self._staging_id = staging_id
        self._save = save
        self._staged = 0
        """How many items and requests of it have arrived."""
        self._entries: list[Entry] = []
        self._total = 0

    @property
    def _offset(self) -> int:
        return self._staged + len(self._entries)

    def next_message(self) -> Fetch:
        """Ask for the next part."""
        return Fetch(**self._promise.header(), offset=self._offset)

    def receive(self, message: Fetch, answer: Answer) -> bool:
        """Take in the next part.

        :return: whether it was one; else the follower's state is not what was claimed.
        :raises InvalidRequest: it contradicts itself.
        """
        if answer.position != self._position or message.offset != self._offset:
            return False
        if not isinstance(answer, Fetched) or answer.error is not None:
            return False
        last = self._entries[-1].position if self._entries else None
        check_fetched(answer, self._lineage, message.offset, last)
        if message.offset and answer.total != self._total:
            return False
        self._total = answer.total
        self._save(StageParts(self._staging_id, answer.items, answer.requests))
        self._staged += len(answer.items) + len(answer.requests)
        self._entries += [entry.detached() for entry in answer.entries]
        if self._offset == answer.total:
            self._finish(answer)
        return True

    def _finish(self, answer: Fetched) -> None:
        base = self._lineage.position_at(answer.base_index)
        assert base is not None, "it was checked"
        self.state = ReplaceState(
            promise=self._promise,
            staging_id=self._staging_id,
            position=answer.position,
            base=base,
            entries=self._entries,
            lineage=self._lineage,
            members=answer.members,
        )
