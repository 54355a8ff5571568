"""Long work on the event loop, cut into turns between which everything else has its own."""

import time

import gevent

TURN_S = 0.005
PAUSE_S = 0.001


class Turn:
    """How long a greenlet has worked since others had a chance to.

    :param turn_s: how long it may.
    :param pause_s: how long it sleeps then.
    """

    def __init__(self, turn_s: float = TURN_S, pause_s: float = PAUSE_S) -> None:
        self._turn_s = turn_s
        self._pause_s = pause_s
        self._begin_s = time.monotonic()

    def give_way(self) -> None:
        """Let others work, if this turn has lasted its time; to be called often."""
        if time.monotonic() - self._begin_s >= self._turn_s:
            # A sleep of zero comes back before the loop has looked at a single socket.
            gevent.sleep(self._pause_s)
            self._begin_s = time.monotonic()
