"""Real-time priority for processes, where that is permitted."""

import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def real_time(pids: Iterable[int]) -> Iterator[bool]:
    """Let these processes run meanwhile whenever they can, as if each had a core of its own.

    :param pids: process ids; 0 = this process.
    :return: whether it is so: it takes root's rights, or CAP_SYS_NICE.
    """
    with ExitStack() as undo:
        try:
            for pid in pids:
                undo.callback(_set, pid, os.sched_getscheduler(pid), os.sched_getparam(pid))
                _set(pid, os.SCHED_FIFO, os.sched_param(1))
        except (PermissionError, ProcessLookupError):
            undo.close()
            yield False
        else:
            yield True


def _set(pid: int, policy: int, parameters: os.sched_param) -> None:
    os.sched_setscheduler(pid, policy, parameters)
