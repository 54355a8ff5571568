"""The newest exchanges with the followers: which entries went where, and when."""

from collections import defaultdict, deque
from itertools import islice

from kvstore.api_types import Exchange
from kvstore.core.messages import Append
from kvstore.node.delay import HeldBack
from kvstore.node.figures import ExchangeFigures

KEPT = 20_000


class ExchangeLog:
    """Exchanges of a leader with all its followers, in the order of the acknowledgements."""

    def __init__(self) -> None:
        self._kept: deque[Exchange] = deque(maxlen=KEPT)
        self._count = 0
        self.figures: defaultdict[str, ExchangeFigures] = defaultdict(ExchangeFigures)
        """What was counted, by the follower's address."""

    def add(
        self, follower: str, message: Append, held_back: HeldBack, acknowledged_s: float
    ) -> None:
        """Record that a follower has acknowledged the entries of a message.

        :param follower: its address.
        :param held_back: the message's delay.
        :param acknowledged_s: monotonic time.
        """
        self._count += 1
        figures = self.figures[follower]
        figures.seconds.add(acknowledged_s - held_back.ended_s)
        figures.entries.add(len(message.entries))
        self._kept.append(
            Exchange(
                number=self._count,
                follower=follower,
                first_index=message.prev_index + 1,
                last_index=message.prev_index + len(message.entries),
                formed_s=held_back.began_s,
                drawn_ms=held_back.drawn_ms,
                sent_s=held_back.ended_s,
                acknowledged_s=acknowledged_s,
            )
        )

    def lost(self, follower: str) -> None:
        """Count a message that got no usable answer."""
        self.figures[follower].lost += 1

    def after(self, number: int) -> list[Exchange]:
        """Those that are still kept, from the one behind a number; oldest first."""
        newer = max(self._count - number, 0)
        return list(islice(self._kept, max(len(self._kept) - newer, 0), None))
