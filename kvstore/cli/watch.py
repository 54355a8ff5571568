"""The command watch."""

import click

from kvstore.cli.cluster_command import ClusterCommand, Exit, Output, client_of, text_of
from kvstore.client import EntriesCutError


@click.command(cls=ClusterCommand)
@click.option("--from", "from_index", type=click.IntRange(0), help="The index to begin behind.")
@click.pass_context
def watch(ctx: click.Context, from_index: int | None) -> None:
    """Print every confirmed change, until Ctrl-C.

    It begins now, or behind an index; when a node fails, it goes on with another one.
    """
    output: Output = ctx.obj
    try:
        for change in client_of(ctx).watch(from_index):
            what = "" if change.operation == "delete" else f" {text_of(change.value)}"
            output.show(change, f"{change.index} {change.operation} {change.key}{what}")
    except EntriesCutError as error:
        text = f"{error}; `kvstore dump` prints one, and its index is {error.index} or more"
        output.end(Exit.NO, {"reason": str(error), "index": error.index}, text)
