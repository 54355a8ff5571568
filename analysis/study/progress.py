"""How far a study is: a bar on a terminal, a line for each measurement elsewhere."""

import sys
import time
from collections.abc import Sequence
from typing import Never

from tqdm import tqdm

from analysis.study.runs import Measurement
from analysis.study.settings import StudySettings


class Progress:
    """Shows regime, write quorum and repeat, the writes done and their rate, and the time left.

    :param settings: the study.
    :param order: its measurements.
    """

    def __init__(self, settings: StudySettings, order: Sequence[Measurement]) -> None:
        self._settings = settings
        self._order = list(order)
        self._started_s = time.monotonic()
        self._name = ""
        self._writes = 0
        self._per_s = 0.0
        self._first: tuple[float, int] | None = None
        # They are of very different kinds, in random order: the average tells the time left best.
        self._bar: tqdm[Never] = tqdm(
            total=len(order),
            smoothing=0,
            dynamic_ncols=True,
            disable=not sys.stderr.isatty(),
            bar_format="{percentage:3.0f}% |{bar:20}| {remaining} left; {desc}",
        )

    def say(self, text: str) -> None:
        """Tell what is being done besides writing."""
        self._bar.set_description_str(text)
        if self._bar.disable:
            self._print(text)

    def begin(self, measurement: Measurement) -> None:
        """The next measurement begins."""
        first, last = measurement[0], measurement[-1]
        self._writes = sum(run.writes(self._settings) for run in measurement)
        self._per_s, self._first = 0.0, None
        regime = first.regime.replace("_", " ")
        turns = "" if first == last else f" to {last.write_quorum} in turns"
        self._name = (
            f"{self._order.index(measurement) + 1} of {len(self._order)}: {regime}, "
            f"W={first.write_quorum}{turns}, repeat {first.repeat}"
        )
        self.show(0)

    def show(self, answered: int) -> None:
        """Show how many writes of this measurement have been answered."""
        now_s = time.monotonic()
        if answered > 0 and self._first is None:
            self._first = (now_s, answered)
        elif self._first is not None and now_s > self._first[0]:
            self._per_s = (answered - self._first[1]) / (now_s - self._first[0])
        if not self._bar.disable:
            answered = min(answered, self._writes)
            whole = int(self._bar.n)
            self._bar.set_description_str(self._text(answered), refresh=False)
            self._bar.update(whole + 0.999 * answered / self._writes - self._bar.n)

    def end(self, measurement: Measurement) -> None:
        """A measurement has ended, with all that follows its writes."""
        number = self._order.index(measurement) + 1
        self._bar.update(number - self._bar.n)
        if self._bar.disable:
            spent_s = time.monotonic() - self._started_s
            left = tqdm.format_interval(spent_s / number * (len(self._order) - number))
            self._print(f"{self._text(self._writes)}; {left} left")

    def close(self) -> None:
        """Leave the bar as it stands."""
        self._bar.close()

    def _text(self, answered: int) -> str:
        return f"{self._name}: {answered:,} of {self._writes:,} writes, {self._per_s:,.0f}/s"

    @staticmethod
    def _print(text: str) -> None:
        print(text, file=sys.stderr, flush=True)
