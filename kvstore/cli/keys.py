"""Commands about keys: put, get, delete, batch."""

import sys
from collections.abc import Callable
from typing import IO, Any

import click
import msgspec

from kvstore.cli.cluster_command import (
    ClusterCommand,
    Exit,
    Output,
    client_of,
    text_of,
    value_of,
)
from kvstore.client import BatchWritten, DeleteOperation, PutOperation, Written

_decode_operation = msgspec.json.Decoder(PutOperation | DeleteOperation).decode


class ConditionType(click.ParamType[Any]):
    """A version, or ``*``."""

    name = "version"

    def convert(self, value: Any, param: Any, ctx: Any) -> int | str:
        """Check it."""
        if value == "*" or isinstance(value, int):
            return value  # type: ignore[no-any-return]
        if not value.isdecimal():
            self.fail(f"{value!r} is neither a version nor *", param, ctx)
        return int(value)


def _write_options(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--idempotency-key", metavar="NAME", help="Of an earlier, open attempt."),
        click.option("--if-none-match", type=ConditionType(), help="The version it must not have."),
        click.option(
            "--if-match", type=ConditionType(), help="The version that the key must have."
        ),
    ):
        command = option(command)
    return command


@click.command(cls=ClusterCommand)
@_write_options
@click.argument("key")
@click.argument("value")
@click.pass_context
def put(ctx: click.Context, /, key: str, value: str, **options: Any) -> None:
    """Write a value.

    VALUE is JSON, or a text where it is no JSON; - reads it from standard input. Write -- before a
    VALUE that begins with a minus sign.
    """
    text = sys.stdin.read() if value == "-" else value
    _confirmed(ctx.obj, client_of(ctx).put(key, value_of(text), **options))


@click.command(cls=ClusterCommand)
@click.argument("key")
@_write_options
@click.pass_context
def delete(ctx: click.Context, /, key: str, **options: Any) -> None:
    """Delete a key, whether or not it exists."""
    _confirmed(ctx.obj, client_of(ctx).delete(key, **options))


def _confirmed(output: Output, written: Written) -> None:
    output.show(
        written, f"confirmed: version {written.version}, on {written.replicas_confirmed} followers"
    )


@click.command(cls=ClusterCommand)
@click.argument("key")
@click.option("--min-version", type=click.IntRange(0), help="What the node must have applied.")
@click.option("--follower", is_flag=True, help="Read from a follower of those in KVSTORE_URL.")
@click.pass_context
def get(ctx: click.Context, key: str, min_version: int | None, *, follower: bool) -> None:
    """Print a value.

    A text is printed as it is, everything else as JSON.
    """
    item = client_of(ctx, prefer_followers=follower).get(key, min_version=min_version)
    output: Output = ctx.obj
    if item is None:
        output.end(Exit.NO, {"found": False}, f"there is no key {key!r}")
    document = {"found": True, "value": item.value, "version": item.version}
    output.show(document, text_of(item.value))


@click.command(cls=ClusterCommand)
@click.argument("file", type=click.File("rb"), default="-")
@click.option("--idempotency-key", metavar="NAME", help="Of an earlier, open attempt.")
@click.pass_context
def batch(ctx: click.Context, file: IO[bytes], idempotency_key: str | None) -> None:
    """Do many operations, or none of them.

    FILE (or standard input) has up to 1,000 JSON objects, one on each line: {"operation": "put",
    "key": "a", "value": 1} or {"operation": "delete", "key": "b"}, each also with "if_match" or
    "if_none_match": a version, or "*".
    """
    operations = []
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            operations.append(_decode_operation(line))
        except ValueError as error:
            raise click.UsageError(f"line {number}: {error}") from None
    if not 1 <= len(operations) <= 1000:
        raise click.UsageError(f"{len(operations)} operations: a batch has 1 to 1,000")
    done = client_of(ctx).batch(operations, idempotency_key=idempotency_key)
    ctx.obj.show(done, _versions(done))


def _versions(done: BatchWritten) -> str:
    first, last = done.results[0].version, done.results[-1].version
    return f"confirmed: versions {first} to {last}, on {done.replicas_confirmed} followers"
