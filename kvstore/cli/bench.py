"""The command bench."""

import statistics
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import click

from kvstore.cli.cluster_command import ClusterCommand, Exit, client_of
from kvstore.client import Client, ClientError, DeleteOperation

_KEYS = 100


@click.command(cls=ClusterCommand)
@click.option("--seconds", type=click.FloatRange(0.1, 600), default=5.0, show_default=True)
@click.option("--clients", type=click.IntRange(1, 200), default=8, show_default=True)
@click.pass_context
def bench(ctx: click.Context, seconds: float, clients: int) -> None:
    """Measure writes for a short while.

    Their keys are removed again.

    The figures are those of one Python process with a thread for each client: they show what W and
    the delay cost. What the nodes can do is more; `make bench` measures that.
    """
    client = client_of(ctx)
    write_quorum = client.status().write_quorum
    prefix = f"kvstore-bench-{uuid.uuid4().hex[:8]}-"
    began_s = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        runs = list(pool.map(lambda _: _write(client, prefix, began_s + seconds), range(clients)))
    took_s = time.monotonic() - began_s
    try:
        client.batch([DeleteOperation(key=f"{prefix}{number}") for number in range(_KEYS)])
    except ClientError as error:
        click.echo(f"kvstore: the keys {prefix}* could not be removed: {error}", err=True)
    times_ms = sorted(ms for found, _ in runs for ms in found)
    failed = sum(failures for _, failures in runs)
    if not times_ms:
        ctx.obj.end(Exit.NO, {"writes": 0, "failed": failed}, "no write was confirmed")
    cuts = statistics.quantiles(times_ms, n=100, method="inclusive") if len(times_ms) > 1 else []
    p50, p95, p99 = (cuts[n - 1] if cuts else times_ms[0] for n in (50, 95, 99))
    document = {
        "write_quorum": write_quorum,
        "clients": clients,
        "seconds": round(took_s, 3),
        "writes": len(times_ms),
        "failed": failed,
        "per_s": round(len(times_ms) / took_s, 1),
        "p50_ms": round(p50, 3),
        "p95_ms": round(p95, 3),
        "p99_ms": round(p99, 3),
    }
    ctx.obj.show(
        document,
        f"W={write_quorum}, {clients} clients: {len(times_ms):,} writes confirmed in "
        f"{took_s:.1f} s ({len(times_ms) / took_s:,.0f}/s), {failed:,} failed\n"
        f"latency: p50 {p50:.2f} ms, p95 {p95:.2f} ms, p99 {p99:.2f} ms",
    )


def _write(client: Client, prefix: str, until_s: float) -> tuple[list[float], int]:
    """Write until the time is up.

    :return: what each confirmed write took, in milliseconds; and how many were not confirmed.
    """
    times_ms, failed, number = [], 0, 0
    while (start_s := time.monotonic()) < until_s:
        try:
            client.put(f"{prefix}{number % _KEYS}", number)
            times_ms.append(1000 * (time.monotonic() - start_s))
        except ClientError:
            failed += 1
        number += 1
    return times_ms, failed
