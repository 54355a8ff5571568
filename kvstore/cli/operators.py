"""Commands for operators: status, quorum, delay, verify."""

import time

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table

from kvstore.api_types import FollowerStatus
from kvstore.cli.cluster_command import ClusterCommand, Exit, client_of
from kvstore.cli.members import Member, Members, look
from kvstore.client import Client, NodeUnavailableError
from kvstore.client.convergence import CopyCheck, check_copies

_REFRESH_S = 1.0


@click.command(cls=ClusterCommand)
@click.option("--watch", is_flag=True, help="Show it anew every second, until Ctrl-C.")
@click.pass_context
def status(ctx: click.Context, *, watch: bool) -> None:
    """Show every node, and how far it has come."""
    client = client_of(ctx)
    if not watch:
        members = look(client)
        if ctx.obj.as_json:
            ctx.obj.show(_document(members), None)
        else:
            Console().print(_tables(members))
        return
    if ctx.obj.as_json:
        while True:
            ctx.obj.show(_document(look(client)), None)
            time.sleep(_REFRESH_S)
    with Live(auto_refresh=False) as live:
        while True:
            live.update(_tables_or_why(client), refresh=True)
            time.sleep(_REFRESH_S)


def _document(members: Members) -> list[dict[str, object]]:
    all_members = [members.leader, *members.others] if members.leader else members.others
    return [
        {"url": each.node.url, "status": each.status and msgspec.to_builtins(each.status)}
        for each in all_members
    ]


def _tables_or_why(client: Client) -> RenderableType:
    try:
        return _tables(look(client))
    except NodeUnavailableError as error:
        return str(error)


def _tables(members: Members) -> RenderableType:
    everyone = [*([members.leader] if members.leader else []), *members.others]
    nodes = Table("node", "role", "state", box=None, header_style="bold")
    for name in ("epoch", "last", "commit", "applied"):
        nodes.add_column(name, justify="right")
    for member in everyone:
        _add_row(nodes, member)
    parts: list[RenderableType] = [nodes]
    if members.leader and members.leader.status:
        leader = members.leader.status
        followers = Table("follower", "state", box=None, header_style="bold")
        for name in ("match", "entries behind", "seconds behind", "last contact"):
            followers.add_column(name, justify="right")
        for each in leader.followers:
            followers.add_row(*_follower_cells(each))
        parts += [f"\nW = {leader.write_quorum}. The leader's followers:", followers]
    else:
        parts.append("\nNo node that leads answers: there are no writes now.")
    parts += [
        f"{member.node.url}: {member.status.problem}"
        for member in everyone
        if member.status and member.status.problem
    ]
    return Group(*parts)


def _add_row(table: Table, member: Member) -> None:
    known = member.status
    if known is None:
        table.add_row(member.node.url, "?", "does not answer", style="red")
        return
    numbers = (known.epoch, known.last_index, known.commit_index, known.applied_index)
    table.add_row(member.node.url, known.role, known.state, *map(str, numbers))


def _follower_cells(follower: FollowerStatus) -> list[str]:
    contact = follower.last_contact_s
    return [
        follower.address,
        follower.state,
        str(follower.match_index),
        str(follower.lag_entries),
        f"{follower.lag_s:.3f}",
        "never" if contact is None else f"{contact:.1f} s ago",
    ]


@click.command(cls=ClusterCommand)
@click.argument("size", metavar="[N]", type=click.IntRange(0), required=False)
@click.pass_context
def quorum(ctx: click.Context, size: int | None) -> None:
    """Show or set the write quorum W."""
    client = client_of(ctx)
    if size is not None:
        client.set_quorum(size)
    else:
        size = client.status().write_quorum
    ctx.obj.show({"quorum": size}, f"W = {size}")


@click.command(cls=ClusterCommand)
@click.argument("range_ms", metavar="[MIN MAX]", type=float, nargs=-1)
@click.option("--follower", metavar="ADDRESS", help="The only one, as the leader calls it.")
@click.pass_context
def delay(ctx: click.Context, range_ms: tuple[float, ...], follower: str | None) -> None:
    """Show or set the simulated delay, in milliseconds."""
    client = client_of(ctx)
    if range_ms:
        if len(range_ms) != 2:
            raise click.UsageError("give MIN and MAX, in milliseconds")
        client.set_delay(*range_ms, follower)
        which = f"before requests to {follower}" if follower else "before every request"
        document = {"min_ms": range_ms[0], "max_ms": range_ms[1], "follower": follower}
        ctx.obj.show(document, f"{range_ms[0]:g} to {range_ms[1]:g} ms {which}")
        return
    followers = client.status().followers
    text = "\n".join(
        f"{each.address}: {each.delay.min_ms:g} to {each.delay.max_ms:g} ms; "
        f"{each.delay.count:,} requests so far, {each.delay.mean_drawn_ms:.3f} ms drawn and "
        f"{each.delay.mean_happened_ms:.3f} ms happened, on average"
        for each in followers
    )
    ctx.obj.show({each.address: each.delay for each in followers}, text or "no followers")


@click.command(cls=ClusterCommand)
@click.pass_context
def verify(ctx: click.Context) -> None:
    """Compare all copies at one index."""
    client = client_of(ctx)
    members = look(client)
    if members.leader is None:
        raise NodeUnavailableError("no node that leads answers")
    gone = [each.node.url for each in members.others if each.status is None]
    if gone:
        raise NodeUnavailableError(
            f"not every copy can be read; no answer from {', '.join(gone)} (if you reach it under "
            "another address, name that in KVSTORE_URL)"
        )
    followers = [each.node for each in members.others]
    checks = check_copies(members.leader.node, followers, ctx.find_root().params["timeout"])
    document = [
        {"url": each.url, "index": each.index, "equal": each.is_equal, "problem": each.problem}
        for each in checks
    ]
    problems = "\n".join(f"{each.url}: {each.problem}" for each in checks if not each.is_equal)
    if any(each.difference is not None and not each.is_equal for each in checks):
        ctx.obj.end(Exit.NO, document, f"the copies differ\n{problems}")
    if problems:
        ctx.obj.end(Exit.OPEN, document, f"the copies could not be compared\n{problems}")
    ctx.obj.show(document, f"{1 + len(checks)} copies are equal, at index {_index(checks)}")


def _index(checks: list[CopyCheck]) -> str:
    return ", ".join(sorted({str(each.index) for each in checks})) or "?"
