"""TCP ports that nobody listens on."""

import os
import random
import socket
from contextlib import suppress
from pathlib import Path

_FIRST_PORT = 10_000
_SLICES = 8


def free_ports(count: int) -> list[int]:
    """Choose TCP ports on the loopback address that nobody listens on.

    They lie below the range from which the kernel takes ports for outgoing connections: otherwise a
    client's connection could occupy a stopped node's port before the node is started again.

    :param count: how many, 0 or more.
    :return: distinct ports in random order.
    :raises OSError: when there are not enough.
    """
    # Processes that were started one after the other choose from different ports, so that none
    # takes what another has chosen and nobody listens on yet.
    first = _FIRST_PORT + os.getpid() % _SLICES
    candidates = list(range(first, _first_ephemeral_port(), _SLICES))
    random.shuffle(candidates)
    found: list[int] = []
    for port in candidates:
        if len(found) == count:
            break
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
    if len(found) < count:
        raise OSError(f"no {count} free ports between {_FIRST_PORT} and {_first_ephemeral_port()}")
    return found


def _first_ephemeral_port() -> int:
    try:
        text = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        return max(int(text.split()[0]), _FIRST_PORT + 1_000)
    except OSError:
        return 32_768
