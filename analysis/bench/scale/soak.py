"""A long run: whether the memory stays flat."""

import time

import numpy as np

from analysis.bench.findings import Finding
from analysis.bench.scale.options import Options
from analysis.bench.wrk import PUTS, run_wrk
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.usage import resident_bytes

_CONNECTIONS = 15
_STEP_S = 10
_GROWTH = 0.01


def soak(options: Options) -> list[Finding]:
    """How much a leader and a follower grow from the second third of the time on.

    In the first third the log fills up to what it retains. The growth is that of a straight line
    through the rest, over its whole length, as a share of the first value.
    """
    if options.soak_minutes == 0:
        return []
    folder = options.folder / "soak"
    with LocalCluster(1, folder, data_root=folder / "data") as cluster:
        sizes: list[list[int]] = []
        end_s = time.monotonic() + 60 * options.soak_minutes
        while time.monotonic() < end_s:
            run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, _STEP_S)
            sizes.append([resident_bytes(node.processes[:2]) for node in cluster.nodes])
    kept = np.array(sizes[len(sizes) // 3 :], dtype=float)
    found = []
    for role, memory in zip(("leader", "follower"), kept.T, strict=True):
        slope = np.polyfit(np.arange(len(memory)), memory, 1)[0] if len(memory) > 1 else 0.0
        growth = slope * len(memory) / memory[0]
        note = f"{memory[0] / 1e6:.1f} to {memory[-1] / 1e6:.1f} MB"
        subject = f"growth of memory in {options.soak_minutes} minutes of writes, {role}"
        found.append(Finding(subject, float(growth), "", _GROWTH, "most", note))
    return found
