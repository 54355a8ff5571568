"""Writes in batches beside single ones."""

import math
import time

from analysis.bench.findings import Finding
from analysis.bench.scale.keys import BATCH, write_batch
from analysis.bench.scale.options import Options
from analysis.bench.wrk import PUTS, run_wrk
from analysis.nodes.errors import LoadError
from analysis.nodes.local_cluster import LocalCluster

_CONNECTIONS = 64
_TARGET = 10


def batches(options: Options) -> list[Finding]:
    """Writes a second in batches of 1,000 from one client, and single ones from 64."""
    folder = options.folder / "batches"
    with LocalCluster(1, folder, data_root=folder / "data") as cluster:
        single = run_wrk(cluster.leader.url, PUTS, _CONNECTIONS, options.seconds).per_s
        subject = f"batches of {BATCH:,} from one client to single writes from {_CONNECTIONS}"
        start_s = time.monotonic()
        sent = 0
        while time.monotonic() < start_s + options.seconds:
            status = write_batch(cluster.leader, 0, BATCH, PUTS.value_bytes)
            if status == 404:
                note = "this version of the service takes no batches"
                return [Finding(subject, math.nan, "", _TARGET, note=note)]
            if status != 200:
                raise LoadError(f"a batch was answered with {status}")
            sent += BATCH
        rate = sent / (time.monotonic() - start_s)
    note = f"{rate:,.0f} and {single:,.0f} writes/s"
    return [Finding(subject, rate / single, "", _TARGET, note=note)]
