"""The write quorum: match indexes in, commit index out."""

from collections.abc import Collection


class WriteQuorum:
    """How far the log is confirmed.

    :param size: W, the followers that must hold an entry; the leader is not counted.
    :param followers: how many followers there are; ``0 <= W <= followers``.
    :param commit_index: what is known to be confirmed already.

    Nothing is confirmed in a reign before its first entry is (Raft, section 5.4.2): until then the
    leader cannot know which earlier entries were confirmed.
    """

    def __init__(self, size: int, followers: int, commit_index: int = 0) -> None:
        self._followers = followers
        self.size = size
        self.resize(size)
        self.commit_index = commit_index
        self.begin(1)

    def begin(self, first_index: int) -> None:
        """A reign begins.

        :param first_index: index of its first entry.
        """
        self._first_index = first_index
        self.has_begun = False
        """Whether the first entry was confirmed, by at least one follower where W is not 0."""

    def resize(self, size: int) -> None:
        """Change W; what is confirmed stays confirmed.

        After W = 0 the first entry has to be confirmed again: no follower had to hold it.

        :raises ValueError: outside ``0 … followers``.
        """
        if not 0 <= size <= self._followers:
            raise ValueError(f"the write quorum must be from 0 to {self._followers}")
        if self.size == 0 < size:
            self.has_begun = False
        self.size = size

    def advance(self, leader_index: int, match_indexes: Collection[int]) -> int:
        """The highest index that the leader and at least W followers hold.

        :param leader_index: highest index durable on the leader.
        :param match_indexes: one for each follower.
        :return: the commit index, which never falls.
        """
        confirmed = leader_index
        if self.size > 0:
            confirmed = min(leader_index, sorted(match_indexes, reverse=True)[self.size - 1])
        if confirmed >= self._first_index:
            self.has_begun = True
            self.commit_index = max(self.commit_index, confirmed)
        return self.commit_index
