"""Long work on the event loop, cut into short turns between which everything else can run."""

import time

import gevent

TURN_S = 0.005
PAUSE_S = 0.001


class Turn:
    """Measures how long a greenlet has worked since others could.

    :param turn_s: how long it may work without a pause.
    :param pause_s: how long the pause is.
    """

    def __init__(self, turn_s: float = TURN_S, pause_s: float = PAUSE_S) -> None:
        self._turn_s = turn_s
        self._pause_s = pause_s
        self._begin_s = time.monotonic()

    def give_way(self) -> None:
        """Let others work, if this turn is over; to be called often."""
        if time.monotonic() - self._begin_s >= self._turn_s:
            # A sleep of zero returns before the loop has looked at a single socket.
            gevent.sleep(self._pause_s)
            self._begin_s = time.monotonic()
