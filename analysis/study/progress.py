"""A progress bar over all quorums of a study."""

import sys
from collections.abc import Sequence
from typing import Never

from tqdm import tqdm

# A log file gets a line now and then, a terminal a bar that moves.
_TERMINAL_INTERVAL_S = 0.1
_LOG_INTERVAL_S = 5.0


class Progress:
    """Shows the write quorum being measured, its writes, and the writes of the whole study.

    :param order: write quorums in the order in which they are measured.
    :param writes: writes for each of them.
    """

    def __init__(self, order: Sequence[int], writes: int) -> None:
        self._order = list(order)
        self._writes = writes
        on_terminal = sys.stderr.isatty()
        self._bar: tqdm[Never] = tqdm(
            total=len(self._order) * writes,
            unit=" writes",
            dynamic_ncols=on_terminal,
            mininterval=_TERMINAL_INTERVAL_S if on_terminal else _LOG_INTERVAL_S,
            bar_format="{desc} {percentage:3.0f}%|{bar}| {n:,.0f}/{total:,.0f}{unit} "
            "[{elapsed}<{remaining}]{postfix}",
        )

    def say(self, text: str) -> None:
        """Show what is being done besides writing."""
        self._bar.set_description_str(text)

    def show(self, write_quorum: int, answered: int) -> None:
        """Show how far the measurement of one quorum has got.

        :param write_quorum: the quorum being measured.
        :param answered: its writes answered so far.
        """
        position = self._order.index(write_quorum)
        answered = min(answered, self._writes)
        self._bar.set_description_str(
            f"W={write_quorum} ({position + 1} of {len(self._order)}): "
            f"{answered:,} of {self._writes:,}",
            refresh=False,
        )
        self._bar.update(position * self._writes + answered - self._bar.n)
        if answered in (0, self._writes):
            self._bar.refresh()

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()
