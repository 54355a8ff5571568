"""Sleeping for fractions of a millisecond without blocking the event loop.

gevent's loop waits in whole milliseconds (epoll), which would flatten every delay between 0.1
and 1 ms to one value. A Linux timer descriptor that the loop watches is exact to microseconds.
"""

import ctypes
import os
import struct
import sys
import time
from functools import cached_property
from typing import TYPE_CHECKING

from gevent.event import Event
from gevent.hub import Waiter, get_hub

if TYPE_CHECKING:
    from gevent._types import _IoWatcher

_READABLE = 1
_NON_BLOCKING = os.O_NONBLOCK | os.O_CLOEXEC
_CLOCK_MONOTONIC = 1


_MAX_LEAD_S = 1e-4
_VERY_LATE_S = 2.5e-4
_GAIN = 1 / 64


class PreciseTimer:
    """A timer for one greenlet at a time; on systems other than Linux, gevent's own.

    Waking up takes some tens of microseconds of its own. The timer is set that much earlier: the
    lead follows the mean of what waking took lately, so that sleeps are as long as they should be
    on average. One that ends very late, while other greenlets are busy, does not count in full.
    """

    def __init__(self) -> None:
        self._lead_s = 0.0

    @cached_property
    def _timer(self) -> "tuple[int, _IoWatcher] | None":
        """Descriptor and watcher, made on first use."""
        if sys.platform != "linux":
            return None
        fd = _create()
        return fd, get_hub().loop.io(fd, _READABLE)

    def sleep(self, seconds: float, interrupt: Event | None = None) -> bool:
        """Let other greenlets run for this long.

        :param seconds: more than 0.
        :param interrupt: ends the sleep when it is set.
        :return: whether it lasted its full time.
        """
        start_s = time.perf_counter()
        if self._timer is None:
            return not (interrupt or Event()).wait(seconds)
        fd, watcher = self._timer
        _set(fd, max(int((seconds - self._lead_s) * 1e9), 1))
        if interrupt is None:
            get_hub().wait(watcher)
        elif not _wait_either(watcher, interrupt):
            return False
        late_s = time.perf_counter() - start_s - seconds
        lead_s = self._lead_s + _GAIN * min(late_s, _VERY_LATE_S)
        self._lead_s = min(max(lead_s, 0.0), _MAX_LEAD_S)
        return True


def _wait_either(watcher: "_IoWatcher", interrupt: Event) -> bool:
    waiter: Waiter[bool] = Waiter()

    def give_up(_: Event) -> None:
        waiter.switch(False)  # noqa: FBT003

    watcher.start(waiter.switch, True)  # noqa: FBT003
    interrupt.rawlink(give_up)
    try:
        return waiter.get()
    finally:
        interrupt.unlink(give_up)
        watcher.stop()


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
