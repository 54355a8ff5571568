"""Sleeping for fractions of a millisecond without blocking the event loop.

gevent's loop waits in whole milliseconds (epoll), which would flatten every delay between 0.1
and 1 ms to one value. A Linux timer descriptor that the loop watches keeps microseconds.
"""

import ctypes
import os
import struct
import sys

import gevent
from gevent.socket import wait_read

_NON_BLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_CLOCK_MONOTONIC = 1


class PreciseTimer:
    """A timer for one greenlet at a time; on systems other than Linux, gevent's own."""

    def __init__(self) -> None:
        self._fd = _create() if sys.platform == "linux" else None

    def sleep(self, seconds: float) -> None:
        """Let other greenlets run for this long.

        :param seconds: from 0.
        """
        nanoseconds = int(seconds * 1e9)
        if self._fd is None or nanoseconds <= 0:
            gevent.sleep(max(seconds, 0))
            return
        _set(self._fd, nanoseconds)
        wait_read(self._fd)
        os.read(self._fd, 8)


if sys.version_info >= (3, 13):

    def _create() -> int:
        return os.timerfd_create(_CLOCK_MONOTONIC, flags=_NON_BLOCKING)

    def _set(fd: int, nanoseconds: int) -> None:
        os.timerfd_settime_ns(fd, initial=nanoseconds)

else:
    _libc = ctypes.CDLL(None, use_errno=True)

    def _create() -> int:
        fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, _NON_BLOCKING)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        return fd

    def _set(fd: int, nanoseconds: int) -> None:
        # struct itimerspec: the interval (none), then the first expiry, in seconds and ns.
        spec = struct.pack("@llll", 0, 0, *divmod(nanoseconds, 1_000_000_000))
        if _libc.timerfd_settime(fd, 0, spec, None) < 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
