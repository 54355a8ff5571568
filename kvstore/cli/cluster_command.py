"""What every command has in common: the cluster, the output, and what its exit code means."""

import json
import sys
from enum import IntEnum
from typing import Any, NoReturn

import click
import msgspec

from kvstore.client import (
    BatchRefusedError,
    Client,
    ClientError,
    IndefiniteError,
    NodeUnavailableError,
    PreconditionFailedError,
    RefusedError,
)


class Exit(IntEnum):
    """Exit codes; wrong usage is click's own 2."""

    DONE = 0
    """Confirmed, found, or equal."""
    NO = 1
    """Refused, not found, or different: definite."""
    OPEN = 3
    """A write may have been made, or may be made later; or what was asked could not be decided."""
    NOBODY = 4
    """Nobody answers; nothing happened."""


class ClusterCommand(click.Command):
    """A command that talks to a cluster: its failures become messages and exit codes."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.append(
            click.Option(["--json", "as_json"], is_flag=True, help="Print JSON, for programs.")
        )

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        output = ctx.obj = Output(as_json=ctx.params.pop("as_json"))
        try:
            return super().invoke(ctx)
        except ClientError as error:
            output.fail(error)
        except ValueError as error:  # what the client refuses to send
            raise click.UsageError(str(error)) from None


class Output:
    """Prints for people, or as JSON.

    :ivar as_json: one document on standard output for each result, failures too.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def show(self, document: Any, text: str | None) -> None:
        """Print a result.

        :param document: what JSON shows.
        :param text: what people see; None = nothing.
        """
        if self.as_json:
            click.echo(msgspec.json.encode(document))
        elif text is not None:
            click.echo(text)

    def end(self, code: Exit, document: Any, text: str) -> NoReturn:
        """Print why a command ends with a code other than 0."""
        if self.as_json:
            click.echo(msgspec.json.encode(document))
        else:
            click.echo(f"kvstore: {text}", err=True)
        sys.exit(code)

    def fail(self, error: ClientError) -> NoReturn:
        """Tell a failure of the client, and what to do about it."""
        text = str(error)
        document: dict[str, Any] = {"reason": text}
        match error:
            case IndefiniteError():
                document |= {
                    "outcome": "open",
                    "idempotency_key": error.idempotency_key,
                    "version": error.version,
                }
                text += (
                    "\nThe outcome is open. To bring it to an end, repeat the command with "
                    f"--idempotency-key {error.idempotency_key}"
                )
            case NodeUnavailableError():
                document |= {"outcome": "unavailable"}
                text += "\nIs the cluster running, and is KVSTORE_URL (or --url) right?"
            case RefusedError():
                document |= {"outcome": "refused", "status": error.status}
                text, more = _why_refused(error)
                document |= more
        self.end(exit_code(error), document, text)


def exit_code(error: ClientError) -> Exit:
    """What a failure of the client means for a script."""
    match error:
        case IndefiniteError():
            return Exit.OPEN
        case NodeUnavailableError():
            return Exit.NOBODY
        case _:
            return Exit.NO


def _why_refused(error: RefusedError) -> tuple[str, dict[str, Any]]:
    text = f"refused: {error}"
    if isinstance(error, PreconditionFailedError):
        has = _version_text(error.version)
        return f"{text}: the key {has}", {"version": error.version}
    if isinstance(error, BatchRefusedError):
        failed = [
            f"{number}: {each.key!r} {_version_text(each.version)}"
            for number, each in enumerate(error.results, 1)
            if not each.holds
        ]
        return f"{text}\n" + "\n".join(failed), {"results": msgspec.to_builtins(error.results)}
    if error.status == 401:
        return f"{text}; give it with --token or KVSTORE_TOKEN", {}
    return text, {}


def _version_text(version: int | None) -> str:
    return "does not exist" if version is None else f"has version {version}"


def client_of(ctx: click.Context, *, prefer_followers: bool = False) -> Client:
    """The client of the cluster that the options before the command name."""
    settings = ctx.find_root().params
    return ctx.with_resource(
        Client(
            settings["url"],
            token=settings["token"],
            timeout_s=settings["timeout"],
            prefer_followers=prefer_followers,
        )
    )


def value_of(text: str) -> Any:
    """A JSON value, or the text itself where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        return text


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"JSON has no {name}")


def text_of(value: Any) -> str:
    """A value as people read it: a text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
