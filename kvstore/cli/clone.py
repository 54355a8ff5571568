"""Commands that are there in a clone of the repository only: study, play."""

import os
import sys
from importlib.util import find_spec
from typing import NoReturn

import click


def _of_a_clone(package: str) -> click.Command:
    """A command that runs one of the clone's packages, with all its options."""

    def run(words: tuple[str, ...]) -> NoReturn:
        if find_spec(package) is None or find_spec("matplotlib") is None:
            raise click.UsageError(
                "this is no part of the installed package: clone the repository, and run "
                f"`make {name}` there"
            )
        os.execv(sys.executable, [sys.executable, "-m", package, *words])  # noqa: S606

    name, text = {
        "analysis": ("study", "Measure what each write quorum costs, on nodes of its own."),
        "playground": ("play", "Serve a live page on a real cluster: see it, and break it."),
    }[package]
    return click.Command(
        name,
        callback=run,
        params=[click.Argument(["words"], nargs=-1, type=click.UNPROCESSED, metavar="[OPTIONS]")],
        help=f"{text}\n\nIt needs a clone of the repository, and what `make setup` installs there.",
        context_settings={"ignore_unknown_options": True, "help_option_names": []},
        add_help_option=False,
    )


study, play = _of_a_clone("analysis"), _of_a_clone("playground")
