"""Long work on the event loop, cut into turns between which everything else has its own."""

import time

import gevent

TURN_S = 0.005
_PAUSE_S = 0.001


class Turn:
    """How long a greenlet has worked since others had a chance to."""

    def __init__(self) -> None:
        self._begin_s = time.monotonic()

    def give_way(self) -> None:
        """Let others work, if this turn has lasted its time; to be called often."""
        if time.monotonic() - self._begin_s >= TURN_S:
            # A sleep of zero comes back before the loop has looked at a single socket.
            gevent.sleep(_PAUSE_S)
            self._begin_s = time.monotonic()
