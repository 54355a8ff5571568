"""Commands that move all data at once: dump, load."""

from collections.abc import Iterator
from typing import IO, Any

import click
import msgspec

from kvstore.cli.cluster_command import ClusterCommand, Exit, client_of, exit_code
from kvstore.client import ClientError, PutOperation

_BATCH_OPERATIONS = 1000
_BATCH_BYTES = 1 << 20
"""From which size on a batch is sent: a larger value goes alone."""


class DumpedKey(msgspec.Struct, forbid_unknown_fields=True):
    """A line of a dump.

    :param version: in the cluster that was dumped; another one gives its own.
    """

    key: str
    value: Any
    version: int | None = None


_decode = msgspec.json.Decoder(DumpedKey).decode


@click.command(cls=ClusterCommand)
@click.argument("file", type=click.File("wb", atomic=True), default="-")
@click.pass_context
def dump(ctx: click.Context, file: IO[bytes]) -> None:
    """Write all keys to a file.

    FILE (or standard output) gets one JSON object for each key: the leader's copy, at one index,
    in the order of the keys.
    """
    copy = client_of(ctx).leader().copy()
    for key in sorted(copy.store):
        line = DumpedKey(key, copy.store[key], copy.versions[key])
        file.write(msgspec.json.encode(line) + b"\n")
    click.echo(f"{len(copy.store):,} keys, at index {copy.index}", err=True)


@click.command(cls=ClusterCommand)
@click.argument("file", type=click.File("rb"), default="-")
@click.pass_context
def load(ctx: click.Context, file: IO[bytes]) -> None:
    """Fill an empty cluster from a dump.

    The keys get new versions. Every line of FILE (or standard input) is checked before anything is
    written.
    """
    batches = list(_batches(file))
    total = sum(map(len, batches))
    client = client_of(ctx)
    if client.leader().copy().store:
        ctx.obj.end(
            Exit.NO,
            {"outcome": "refused", "reason": "the cluster is not empty"},
            "the cluster is not empty: load overwrites nothing",
        )
    loaded = 0
    for operations in batches:
        try:
            client.batch(operations)
        except ClientError as error:
            text = f"{loaded:,} of {total:,} keys are loaded; then: {error}"
            advice = "\nTo begin anew, empty the cluster." if loaded else ""
            document = {"loaded": loaded, "of": total, "reason": str(error)}
            ctx.obj.end(exit_code(error), document, text + advice)
        loaded += len(operations)
    ctx.obj.show({"loaded": loaded}, f"{loaded:,} keys loaded")


def _batches(lines: IO[bytes]) -> Iterator[list[PutOperation]]:
    """The lines of a dump, in bounded batches."""
    operations: list[PutOperation] = []
    size = 0
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            dumped = _decode(line)
        except ValueError as error:
            raise click.UsageError(f"line {number}: {error}") from None
        if operations and (len(operations) == _BATCH_OPERATIONS or size + len(line) > _BATCH_BYTES):
            yield operations
            operations, size = [], 0
        operations.append(PutOperation(key=dumped.key, value=dumped.value, if_none_match="*"))
        size += len(line)
    if operations:
        yield operations
