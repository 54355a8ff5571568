"""What programs started by a test do about signals, however the tests themselves were started."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_IGNORED_IN_BACKGROUND = (signal.SIGINT, signal.SIGQUIT)


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Programs started meanwhile can be interrupted.

    A shell without job control lets what it starts in the background ignore SIGINT and SIGQUIT,
    and a program inherits what its parent ignores.
    """
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _IGNORED_IN_BACKGROUND}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
