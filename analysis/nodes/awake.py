"""Processors that do not fall asleep, where that is permitted."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_LATENCY_LIMIT = Path("/dev/cpu_dma_latency")


@contextmanager
def kept_awake() -> Iterator[bool]:
    """Let no processor of this machine enter a state meanwhile that takes time to leave.

    This is Linux's limit on the latency of waking up (PM QoS), which holds while the file is open;
    benchmarks of latency such as *cyclictest* set it as well.

    :return: whether it is so: it takes root's rights, and the file, which containers lack.
    """
    try:
        limit = _LATENCY_LIMIT.open("wb", buffering=0)
    except OSError:
        yield False
        return
    with limit:
        limit.write(struct.pack("@i", 0))  # microseconds
        yield True
