"""Many connections, all of which write at the same time."""

import resource
import selectors
import socket
import time
from collections import Counter
from contextlib import ExitStack

from analysis.bench.findings import Finding
from analysis.bench.scale.options import Options
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.usage import peak_bytes

_OWN_DESCRIPTORS = 200
_PATIENCE_S = 120.0
_BODY = b'{"value":1}'


def at_once(options: Options) -> list[Finding]:
    """Open many connections, send one write over each, and read all answers."""
    _, limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    count = min(options.at_once, limit - _OWN_DESCRIPTORS)
    folder = options.folder / "connections"
    # Such a crowd takes longer than a write usually may; what counts is that all are served.
    patient = {"REPL_TIMEOUT": "60"}
    with LocalCluster(1, folder, patient, data_root=folder / "data") as cluster:
        worker = cluster.leader.processes[1]
        before = peak_bytes(worker)
        statuses, seconds = _write_once_each(cluster.leader.endpoint, count)
        peak = peak_bytes(worker)
    others = {status: number for status, number in statuses.items() if status != 200}
    note = f"others: {others}" if others else f"all answered within {seconds:.1f} s"
    subject = f"{count:,} connections at once, one write each"
    return [
        Finding(f"{subject}: answered with 200", statuses[200], "", count, note=note),
        Finding(f"{subject}: leader's memory at the peak", peak / 1e6, "MB",
                note=f"{before / 1e6:.0f} MB before"),
    ]  # fmt: skip


def _write_once_each(endpoint: tuple[str, int], count: int) -> tuple[Counter[int], float]:
    """:return: how often each status was answered, 0 = no answer; and seconds from the first
    request to the last answer.
    """
    statuses: Counter[int] = Counter()
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        connections = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(endpoint))
            selector.register(connection, selectors.EVENT_READ)
            connections.append(connection)
        start_s = time.monotonic()
        for number, connection in enumerate(connections):
            connection.sendall(
                b"PUT /put/key%d HTTP/1.1\r\nHost: leader\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (number, len(_BODY), _BODY)
            )
        while selector.get_map() and time.monotonic() < start_s + _PATIENCE_S:
            for key, _ in selector.select(1.0):
                statuses[_status(key.fileobj)] += 1
                selector.unregister(key.fileobj)
        statuses[0] += len(selector.get_map())
    return +statuses, time.monotonic() - start_s


def _status(connection: object) -> int:
    assert isinstance(connection, socket.socket)
    try:
        head = connection.recv(4096)
    except ConnectionError:
        return 0
    return int(head.split(b" ", 2)[1]) if head else 0
