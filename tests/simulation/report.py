"""What people read of a schedule that failed."""

from dataclasses import fields, is_dataclass

from msgspec import UNSET, Raw, Struct, structs

from kvstore.core.entries import Position, ReignId
from tests.simulation.schedule import Schedule
from tests.simulation.violation import Violation
from tests.simulation.world import World

EMPTY: tuple[object, ...] = (None, UNSET, "", 0, {}, [])


def report(
    schedule: Schedule, failure: Exception, *, events: int = 25, actions: bool = False
) -> str:
    """What a person needs to understand a failure, and to see it again.

    :param events: how many of the last ones to show.
    :param actions: whether to show all earlier ones, too, but the messages and their answers.
    """
    seed, trace, invariant = schedule.seed, schedule.world.trace, str(failure)
    if not isinstance(failure, Violation):
        invariant = f"no exception leaves the rules: {type(failure).__name__}: {failure}"
    earlier = trace[:-events] if actions else []
    shown = [each for each in earlier if each[1][0] not in ("message", "answer")] + trace[-events:]
    return "\n".join(
        [
            f"seed {seed}: violated: {invariant}",
            "the last events:",
            *(f"  {at_s:.6f} {' '.join(map(brief, event))}" for at_s, event in shown),
            describe(schedule.world),
            f"repeat it: python -m tests.simulation --repeat {seed}  (smaller: --shrink {seed})",
        ]
    )


def describe(world: World) -> str:
    """Where everything stands."""
    lines = [f"{world.setup} at {world.now_s:.3f} s, {dict(world.counts)}"]
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


def brief(value: object) -> str:
    """A value without what is empty in it, and without the quotes."""
    match value:
        case ReignId():
            text = f"{value.epoch}.{value.restart}:{value.id}"
        case Position():
            text = f"{value.index}@{value.epoch}:{value.reign_id}"
        case Raw():
            text = bytes(value).decode()
        case list() | tuple():
            text = f"[{' '.join(map(brief, value))}]"
        case dict():
            text = "{" + " ".join(f"{name}:{brief(each)}" for name, each in value.items()) + "}"
        case Struct():
            text = _brief_parts(value, structs.asdict(value))
        case _ if is_dataclass(value):
            parts = {each.name: getattr(value, each.name) for each in fields(value)}
            text = _brief_parts(value, parts)
        case _:
            text = str(value)
    return text


def _brief_parts(value: object, parts: dict[str, object]) -> str:
    shown = [f"{name}={brief(each)}" for name, each in parts.items() if each not in EMPTY]
    return f"{type(value).__name__}({' '.join(shown)})"
