"""One run of the load, as Locust's page shows it."""

from array import array

import numpy as np

from analysis.study.request_log import Request
from analysis.study.statistics import Floats


class LoadRun:
    """The times of one run; it grows until the run has ended.

    :param label: tells it from the others.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self.failed = 0
        self._started_s, self._latency_ms = array("d"), array("d")

    def add(self, request: Request) -> None:
        """A request has ended; a failed one is only counted."""
        started_s, latency_ms, _, _, failure = request
        if failure is None:
            self._started_s.append(started_s)
            self._latency_ms.append(latency_ms)
        else:
            self.failed += 1

    @property
    def confirmed(self) -> int:
        """Number of confirmed writes."""
        return len(self._latency_ms)

    @property
    def latency_ms(self) -> Floats:
        """How long each confirmed write took, ascending."""
        return np.sort(np.array(self._latency_ms))

    @property
    def answered_s(self) -> Floats:
        """When each was answered, in seconds after the first was sent, ascending."""
        started_s = np.array(self._started_s)
        return np.sort(
            started_s + np.array(self._latency_ms) / 1000 - started_s.min(initial=np.inf)
        )
