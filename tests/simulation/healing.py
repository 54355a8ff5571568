"""The end of every run: all faults end, and the copies have to become equal."""

from msgspec import Raw

from kvstore.core.leader_log import Write
from kvstore.core.leadership import LeaderState
from tests.simulation.machine import Machine
from tests.simulation.process import LeaderProcess
from tests.simulation.violation import Violation
from tests.simulation.world import World

HEAL_S = 15.0
MAX_HELPS = 8
UNDECIDED = "undecided"
INVARIANT = "after healing everything converges"


def heal_and_converge(world: World) -> None:
    """End every fault, and wait until every node holds the same; then once more after a write.

    :raises Violation: it does not come to that.
    """
    world.heal()
    _mend_settings(world)
    converge(world)
    leader = next(process for process in world.running_leaders() if process.leader.ready)
    if world.write(leader, Write("put", "healed", Raw(b"true"))) is None:
        raise Violation(INVARIANT, "a write was refused")
    converge(world)


def help_out(world: World, *, alone: bool = False) -> bool:
    """Do what only people can, where a leader says that it is needed, and why; the reason has to be
    true.

    :param alone: whether the other leaders are stopped, because they have replaced each other again
        and again.
    :return: whether there was something to do.
    """
    if any(process.leader.ready for process in world.running_leaders()):
        return False
    waiting = [p for p in world.running_leaders() if not p.frozen and _needs_help(p)]
    if not waiting:
        return False
    best = max(waiting, key=_promise_of_success)
    world.note("an operator helps", best, best.leader.problem, best.leader.waiting_for)
    for other in world.running_leaders() if alone else ():
        if other is not best:
            world.crash(other.machine.name)
    if emptied := _of_another_cluster(best):
        # One at a time, their own leader would take each of them in again.
        for name in emptied:
            world.start(name, emptied=True)
        return True
    keep = _longest(best) if best.leader.state_text == UNDECIDED else None
    return world.force_start(best, keep)


def _mend_settings(world: World) -> None:
    """Tell every leader of all followers; let somebody lead, and somebody follow."""
    if not world.leaders:
        world.lead(world.random.choice(list(world.machines)))
    if not world.followers:
        names = [name for name in world.machines if name.startswith("f")]
        single = [name for name in names if world.is_single(name)]
        name = world.random.choice(single or names)
        world.crash(name)
        if not single:
            world.ledger.emptied(world.machine(name))  # it has the id of another
        world.follow(name)
    for name, machine in world.leaders.items():
        if set(machine.addresses or ()) != world.followers.keys():
            world.lead(name)
    for leader in world.running_leaders():
        leader.set_quorum(min(world.setup.write_quorum, len(world.followers)))


def converge(world: World) -> None:
    """Wait until every node holds the same; people help where they have to.

    :raises Violation: it does not come to that.
    """
    for attempt in range(MAX_HELPS):
        if world.clock.run_until(world.converged, HEAL_S):
            return
        if not help_out(world, alone=attempt >= MAX_HELPS // 2):
            break
    raise Violation(INVARIANT, "they did not")


def _promise_of_success(process: LeaderProcess) -> tuple[int, ...]:
    """Whom an operator helps first: what loses the least, and whom he has helped before."""
    leader, position = process.leader, process.log.position
    takes_over = leader.state is LeaderState.TAKEOVER
    return (
        leader.state_text == UNDECIDED,
        leader.state not in (LeaderState.TAKEOVER, LeaderState.DEPOSED),
        takes_over and process.machine.standing.forced,
        not takes_over,
        position.epoch,
        position.index,
    )


def _needs_help(process: LeaderProcess) -> bool:
    leader = process.leader
    running = [each for each in _asked(process).values() if each.is_follower and each.running]
    if leader.state is LeaderState.DEPOSED:
        return True
    clusters = {machine.promise.cluster_id for machine in running} | {leader.promise.cluster_id}
    if leader.problem is not None and len(clusters - {None}) > 1:
        return True
    if leader.state is not LeaderState.TAKEOVER:
        known = set(leader.promise.members.values())
        nobody_vouches = not known & {machine.disk.node_id for machine in running}
        return leader.problem is not None and nobody_vouches
    if leader.state_text == UNDECIDED:
        histories = [process.log, *(machine.durable for machine in running)]
        longest = max(histories, key=lambda history: history.index)
        return not all(longest.holds(history) for history in histories)
    if leader.problem is not None:
        return all(machine.promise.reign is None for machine in running)
    followers = process.machine.world.followers
    return bool(leader.waiting_for) and followers.keys().isdisjoint(leader.waiting_for)


def _asked(process: LeaderProcess) -> dict[str, Machine]:
    route = process.machine.world.network.route
    return {address: route[address] for address in process.leader.followers}


def _longest(process: LeaderProcess) -> str:
    histories = {address: machine.durable for address, machine in _asked(process).items()}
    histories["self"] = process.log
    return max(histories, key=lambda name: histories[name].index)


def _of_another_cluster(process: LeaderProcess) -> list[str]:
    """The nodes that hold entries of another cluster than the one with the longest history."""
    world = process.machine.world
    bound = {
        name: machine.promise.cluster_id
        for name, machine in [(process.machine.name, process.machine), *world.followers.items()]
        if machine.durable is not world.ledger.root
    }
    best = max(
        world.machines.values(), key=lambda machine: machine.durable.index
    ).promise.cluster_id
    others = [name for name, cluster in bound.items() if cluster != best]
    return others if len(set(bound.values())) > 1 else []
