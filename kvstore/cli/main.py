"""The command ``kvstore``."""

import click
from click.shell_completion import get_completion_class

from kvstore import __version__
from kvstore.cli.bench import bench
from kvstore.cli.clone import play, study
from kvstore.cli.copies import dump, load
from kvstore.cli.keys import batch, delete, get, put
from kvstore.cli.operators import delay, quorum, status, verify
from kvstore.cli.watch import watch

EXIT_CODES = """\b
Exit codes: 0 confirmed, found or equal
            1 refused, not found or different
            2 wrong usage
            3 the outcome is open
            4 nobody answers"""


class _InOrder(click.Group):
    """Lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.commands)


@click.group(
    cls=_InOrder, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option(
    "--url",
    envvar="KVSTORE_URL",
    default="http://127.0.0.1:5000",
    show_default=True,
    show_envvar=True,
    help="Any nodes, with commas; the leader is found through them.",
)
@click.option(
    "--token", envvar="KVSTORE_TOKEN", show_envvar=True, help="The cluster's secret, if it has one."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    help="Seconds that a command may take, repetitions included.",
)
@click.version_option(__version__, prog_name="kvstore")
def main(**_options: object) -> None:
    """A replicated key-value store with a single leader and a write quorum."""


for _command in (
    *(put, get, delete, batch, watch),
    *(status, quorum, delay, verify),
    *(dump, load, bench, play, study),
):
    main.add_command(_command)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what lets a shell complete commands.

    For example: eval "$(kvstore completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(main, {}, "kvstore", "_KVSTORE_COMPLETE").source())
