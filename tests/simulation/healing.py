"""The end of every run: all faults end, and the copies have to become equal."""

from msgspec import Raw

from kvstore.leader_log import Write
from kvstore.progress import Stage
from tests.simulation.violation import Violation
from tests.simulation.world import World

HEAL_S = 15.0
INVARIANT = "after healing everything converges"


def heal_and_converge(world: World, *, operator: bool) -> None:
    """End every fault, and wait until every node holds the same; then once more after a write.

    :param operator: whether there was a second leader, or a forced one: they can leave behind what
        only people can mend.
    :raises Violation: it does not come to that.
    """
    world.heal()
    _converge(world, operator=operator)
    leader = next(process for process in world.running_leaders() if process.leader.ready)
    if world.write(leader, Write("put", "healed", Raw(b"true"))) is None:
        raise Violation(INVARIANT, "a write was refused")
    _converge(world, operator=operator)


def _converge(world: World, *, operator: bool) -> None:
    for _ in range(3):
        if world.clock.run_until(world.converged, HEAL_S):
            return
        if not (operator and _operator_helps(world)):
            break
    raise Violation(INVARIANT, "they did not")


def _operator_helps(world: World) -> bool:
    """Do what only people can.

    That is needed where all leaders have deposed each other, and where two leaders without state,
    or a forced one, have made a second cluster.
    """
    leaders = [process.leader for process in world.running_leaders()]
    deposed = all(leader.promise.deposed_by for leader in leaders)
    clusters = {machine.disk.promise.cluster for machine in world.followers.values()}
    split = len(clusters) > 1 or any(
        progress.stage is Stage.CONFLICT
        for leader in leaders
        for progress in leader.followers.values()
    )
    if not deposed and not split:
        return False
    world.note("an operator helps")
    for process in world.running_leaders():
        world.crash(process.machine.name)
    best = max(world.followers.values(), key=lambda machine: machine.durable.position)
    for name, machine in world.followers.items():
        if machine.disk.promise.cluster != best.disk.promise.cluster:
            world.crash(name)
            world.start(name, emptied=True)
    world.start("leader", emptied=True)
    return True
