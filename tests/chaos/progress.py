"""One line that shows how a campaign stands."""

import shutil
import sys
from types import TracebackType
from typing import Self

from tests.chaos.campaign import Tick

_LOG_INTERVAL_S = 5.0


class ProgressLine:
    """A line that is drawn anew on a terminal, and repeated now and then elsewhere.

    :param seconds: length of the campaign.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._on_terminal = sys.stderr.isatty()
        self._next_s = 0.0

    def show(self, tick: Tick) -> None:
        """Show how it stands now."""
        if not self._on_terminal and tick.elapsed_s < self._next_s:
            return
        self._next_s = tick.elapsed_s + _LOG_INTERVAL_S
        calls = ", ".join(f"{count:,} {name}" for name, count in sorted(tick.outcomes.items()))
        faults = "; ".join(tick.faults) or "no fault"
        line = f"{tick.elapsed_s:4.0f} of {self._seconds:g} s | {calls} | {faults}"
        if self._on_terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", file=sys.stderr, flush=True)
        else:
            print(line, file=sys.stderr, flush=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._on_terminal:
            print(file=sys.stderr)
