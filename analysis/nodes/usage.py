"""What processes have used so far: processor time, switches and memory, as /proc counts them."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_WAITS = "voluntary_ctxt_switches:"
_PREEMPTIONS = "nonvoluntary_ctxt_switches:"
_PEAK = "VmHWM:"


@dataclass(frozen=True)
class Usage:
    """What processes have used, over all their threads.

    :param cpu_s: seconds of processor time, for the program and for the kernel on its behalf.
    :param waits: voluntary context switches: how often a thread waited, and so was woken.
    :param preemptions: involuntary ones: how often a thread had to make way for another.
    """

    cpu_s: float = 0.0
    waits: int = 0
    preemptions: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_s + other.cpu_s,
            self.waits + other.waits,
            self.preemptions + other.preemptions,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            self.cpu_s - other.cpu_s,
            self.waits - other.waits,
            self.preemptions - other.preemptions,
        )


def usage_of(processes: Iterable[psutil.Process]) -> Usage:
    """What these processes have used since they were started; one that has ended counts nothing.

    The switches are those of the threads that run now.
    """
    total = Usage()
    for process in processes:
        with suppress(psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
            times = process.cpu_times()
            total += Usage(times.user + times.system)
            for thread in Path(f"/proc/{process.pid}/task").iterdir():
                status = thread / "status"
                total += Usage(0.0, _field(status, _WAITS), _field(status, _PREEMPTIONS))
    return total


def resident_bytes(processes: Iterable[psutil.Process]) -> int:
    """Main memory that these processes occupy now; what they share counts for each of them."""
    return sum(process.memory_info().rss for process in processes)


def peak_bytes(process: psutil.Process) -> int:
    """The most main memory that a process has occupied so far."""
    return 1024 * _field(Path(f"/proc/{process.pid}/status"), _PEAK)


def _field(status: Path, name: str) -> int:
    for line in status.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith(name):
            return int(line.split()[1])
    raise LookupError(f"{status} has no {name}")
