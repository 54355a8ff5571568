"""What people read of the values in a failure's report."""

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Raw, Struct, structs

from kvstore.core.entries import Position, ReignId

if TYPE_CHECKING:
    from tests.simulation.world import World


def brief(value: object) -> str:
    """A value without what is empty in it, and without the quotes."""
    for kind, show in _SHOWN.items():
        if isinstance(value, kind):
            return show(value)
    if is_dataclass(value) and not isinstance(value, type):
        return _parts(value, {each.name: getattr(value, each.name) for each in fields(value)})
    return str(value)


def describe(world: "World") -> str:
    """Where everything stands."""
    lines = [f"{world.setup} at {world.now_s:.3f} s, {world.counts}"]
    for process in world.running_leaders():
        leader = process.leader
        lines.append(
            f"{process}: {leader.node_id} {leader.state_text}, {brief(leader.promise)}, log "
            f"{brief(process.log.position)}, commit {leader.log.commit_index}, "
            f"W {leader.write_quorum}, {leader.problem}, waits for {leader.waiting_for}"
        )
        lines += [
            f"  {each.address}: {each.stage} {each.node_id} match {each.match_index} {each.problem}"
            for each in leader.followers.values()
        ]
    lines += [
        f"{name}: {machine.disk.node_id} {brief(machine.durable.position)} "
        f"{brief(machine.promise)} {brief(machine.standing)}"
        for name, machine in world.machines.items()
    ]
    return "\n".join(lines)


def _parts(value: object, parts: dict[str, Any]) -> str:
    empty: tuple[object, ...] = (None, UNSET, "", 0, {}, [])
    shown = [f"{name}={brief(each)}" for name, each in parts.items() if each not in empty]
    return f"{type(value).__name__}({' '.join(shown)})"


_SHOWN: dict[type[Any], Callable[[Any], str]] = {
    ReignId: lambda reign: f"{reign.epoch}.{reign.restart}:{reign.id}",
    Position: lambda position: f"{position.index}@{position.epoch}:{position.reign_id}",
    Raw: lambda raw: bytes(raw).decode(),
    Struct: lambda struct: _parts(struct, structs.asdict(struct)),
    list: lambda parts: f"[{' '.join(map(brief, parts))}]",
    dict: lambda parts: "{" + " ".join(f"{k}:{brief(each)}" for k, each in parts.items()) + "}",
}
