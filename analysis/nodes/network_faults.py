"""What is wrong with the network between a client and a server, and who has to wait for it."""

import threading
import time
from enum import Enum


class Direction(Enum):
    """One way through the network."""

    TO_SERVER = "to the server"
    TO_CLIENT = "to the client"


class Flow(Enum):
    """What happens to bytes in one direction."""

    OPEN = "open"
    STALLED = "stalled"  # they wait, and go on when the direction is healed, as TCP would have it
    CUT = "cut"  # they are lost; a connection that has lost some ends once the direction is healed


BOTH = (Direction.TO_SERVER, Direction.TO_CLIENT)


class NetworkFaults:
    """The faults in force; set by one thread, and waited for by those that carry the bytes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flows = dict.fromkeys(Direction, Flow.OPEN)
        self._held_paths: set[str] = set()
        self._latency_s = 0.0
        self._stopped = False

    # Faults

    def cut(self, *directions: Direction) -> None:
        """Lose everything that goes in these directions; both if none is named."""
        self._set_flow(directions, Flow.CUT)

    def stall(self, *directions: Direction) -> None:
        """Let nothing through in these directions until they are healed; both if none is named."""
        self._set_flow(directions, Flow.STALLED)

    def hold(self, path: str) -> None:
        """Hold back every request for a path, and what follows it on its connection."""
        with self._changed:
            self._held_paths.add(path)

    def delay(self, seconds: float) -> None:
        """Let everything arrive later, in both directions.

        :param seconds: from 0, which is no delay.
        """
        self._latency_s = seconds

    def heal(self) -> None:
        """End every fault."""
        with self._changed:
            self._flows = dict.fromkeys(Direction, Flow.OPEN)
            self._held_paths.clear()
            self._latency_s = 0.0
            self._changed.notify_all()

    # What the bytes' carriers ask

    def admit(self, direction: Direction, path: str | None) -> bool:
        """Wait until something may go on.

        :param path: of the request that it is; ``None`` when it is no request.
        :return: whether it gets through; else it is lost.
        """
        if self._latency_s > 0:
            time.sleep(self._latency_s)
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or not self._must_wait(direction, path))
            return self._flows[direction] is Flow.OPEN and not self._stopped

    def admit_end(self, direction: Direction) -> None:
        """Wait until the end of a connection may be noticed on its other side."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._flows[direction] is Flow.OPEN)

    def stop_waiting(self) -> None:
        """Let everybody go who waits, and nothing through any more."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _must_wait(self, direction: Direction, path: str | None) -> bool:
        return self._flows[direction] is Flow.STALLED or path in self._held_paths

    def _set_flow(self, directions: tuple[Direction, ...], flow: Flow) -> None:
        with self._changed:
            for direction in directions or BOTH:
                self._flows[direction] = flow
            self._changed.notify_all()
