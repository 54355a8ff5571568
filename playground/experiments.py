"""Guided experiments: a question, a prediction, a run on the real nodes, and what came of it.

Every answer is computed from what has just happened.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from kvstore.client import Client, IndefiniteError, NodeUnavailableError, RefusedError
from kvstore.client.convergence import check_copies
from playground.stage import DELAY_MS, LocalStage, Stage, StageError, wait_for

Say = Callable[[str], None]
"""Tells the page what happens now."""

_PATIENCE_S = 30.0


@dataclass(frozen=True)
class Result:
    """What came of an experiment.

    :param right: number of the prediction that came true, from 0; None = none of them.
    :param answer: in a sentence or two.
    :param rows: what was measured: a name, and a value as text.
    """

    right: int | None
    answer: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class Experiment:
    """A question, and how it is answered.

    :param text: what is done, for the page.
    :param predictions: what may be expected.
    :param needs_processes: whether it kills or freezes nodes.
    """

    name: str
    question: str
    text: str
    predictions: Sequence[str]
    run: Callable[[Stage, Say], Result]
    needs_processes: bool = True


def _put_ms(client: Client, key: str, value: Any = 1) -> float:
    begin_s = time.monotonic()
    client.put(key, value)
    return 1000 * (time.monotonic() - begin_s)


def _mean_put_ms(stage: Stage, writes: int, key: str, pause_s: float = 0.0) -> float:
    """:param pause_s: before each write, so that the one before has arrived at every follower."""
    found = []
    with stage.client() as client:
        client.put(key, 0)
        for number in range(writes):
            time.sleep(pause_s)
            found.append(_put_ms(client, key, number))
    return mean(found)


def _what_does_w_cost(stage: Stage, say: Say) -> Result:
    stage.set_delay(0, 150)
    means = {}
    for size in range(1, len(stage.followers) + 1):
        stage.set_quorum(size)
        say(f"10 writes with W={size}")
        means[size] = _mean_put_ms(stage, 10, "what-w-costs", pause_s=0.15)
    ratio = means[max(means)] / means[1]
    return Result(
        0 if ratio < 1.3 else 1 if ratio < 2 else 2,
        f"With W={max(means)} a write took {ratio:.1f} times as long as with W=1: it waits for the "
        f"slowest of {max(means)} followers instead of the fastest.",
        [(f"W={size}", f"{ms:.0f} ms") for size, ms in means.items()],
    )


def _slow_follower(stage: Stage, say: Say) -> Result:
    slow, everyone = stage.followers[0], len(stage.followers)
    rows, slowed = [], {}
    for size in (2, everyone):
        stage.set_quorum(size)
        before = _mean_put_ms(stage, 10, "slow-follower")
        say(f"{slow.name} gets 200 ms; W={size}")
        stage.set_delay(200, 200, slow.name)
        after = _mean_put_ms(stage, 5, "slow-follower")
        stage.set_delay(*DELAY_MS, slow.name)
        slowed[size] = after > before + 100
        rows += [(f"W={size}, before", f"{before:.1f} ms"), (f"W={size}, slow", f"{after:.1f} ms")]
    right = {(True, True): 0, (False, True): 1, (False, False): 2}.get(
        (slowed[2], slowed[everyone])
    )
    which = [f"W={size}" for size, is_slow in slowed.items() if is_slow]
    answer = (
        f"Writes became slow with {' and '.join(which)}. A write waits only for the fastest W."
        if which
        else "Writes did not become slow."
    )
    return Result(right, answer, rows)


def _outcome(client: Client, key: str) -> str:
    try:
        client.put(key, 1)
    except RefusedError as error:
        return f"refused ({error})"
    except IndefiniteError:
        return "open (no answer in time)"
    except NodeUnavailableError:
        return "impossible (no leader answers)"
    return "confirmed"


def _dead_follower(stage: Stage, say: Say) -> Result:
    dead, everyone = stage.followers[-1], len(stage.followers)
    say(f"{dead.name} is killed")
    stage.do("kill", dead.name)
    wait_for(lambda: None if _state_of(stage, dead.address) == "unreachable" else "not noticed yet")
    found = {}
    for size in (everyone - 1, everyone):
        stage.set_quorum(size)
        with stage.client(1.5) as client:
            found[size] = _outcome(client, "dead-follower")
        say(f"W={size}: {found[size]}")
    right = {(True, True): 0, (True, False): 1, (False, False): 2}.get(
        (found[everyone - 1] == "confirmed", found[everyone] == "confirmed")
    )
    answer = "; ".join(f"with W={size} the write was {outcome}" for size, outcome in found.items())
    return Result(
        right,
        f"{answer[0].upper()}{answer[1:]}. A leader that knows that too few followers are there "
        "refuses at once, and nothing is written.",
        [(f"W={size}", outcome) for size, outcome in found.items()],
    )


def _state_of(stage: Stage, address: str | None) -> str:
    followers = stage.leader.node.status().followers
    return next(each.state for each in followers if each.address == address)


def _why_not_back(stage: Stage, address: str | None) -> str | None:
    return None if _state_of(stage, address) == "streaming" else "not back yet"


def _three_outcomes(stage: Stage, say: Say) -> Result:
    frozen, everyone = stage.followers[0], len(stage.followers)
    leader = stage.leader.node
    stage.set_quorum(everyone)
    say(f"{frozen.name} is frozen: it neither answers nor hangs up")
    stage.do("freeze", frozen.name)
    first = leader.put("outcomes", 1, Idempotency_Key="first")
    say(f"the first write was answered with {first.status_code}")
    second = leader.put("outcomes", 2)
    say(f"the second one with {second.status_code}; {frozen.name} is thawed")
    stage.do("thaw", frozen.name)
    wait_for(lambda: _why_not_back(stage, frozen.address))
    again = leader.put("outcomes", 1, Idempotency_Key="first")
    version = again.json().get("version")
    same = version == first.json().get("version")
    codes = (200, 503, 504)
    return Result(
        codes.index(first.status_code) if first.status_code in codes else None,
        f"The first write was answered with {first.status_code}: the leader could not know whether "
        f"{frozen.name} had it. The second one got {second.status_code}, and the first one, "
        f"repeated under its idempotency key after the thaw, {again.status_code}"
        + (", with the version of the first attempt: it was written once." if same else "."),
        [
            ("first write", f"{first.status_code} {first.json().get('reason', '')}"),
            ("second write", f"{second.status_code} {second.json().get('reason', '')}"),
            ("first write again", f"{again.status_code}, version {version}"),
        ],
    )


def _own_write(stage: Stage, say: Say) -> Result:
    far = stage.followers[0]
    stage.set_quorum(1)
    stage.set_delay(400, 400, far.name)
    with stage.client() as client:
        before = client.put("own-write", "before")
        far.node.get("own-write", min_version=before.version)
        say(f"a write, and at once a read from {far.name}, which is 400 ms away")
        written = client.put("own-write", "after")
    plain = far.node.get("own-write").json()
    begin_s = time.monotonic()
    waited = far.node.get("own-write", min_version=written.version).json()
    took_ms = 1000 * (time.monotonic() - begin_s)
    right = {("before", "after"): 0, ("after", "after"): 1}.get((plain["value"], waited["value"]))
    return Result(
        right,
        f"Without min_version the read showed {plain['value']!r} (version {plain['version']}), "
        f"with min_version={written.version} it waited {took_ms:.0f} ms and showed "
        f"{waited['value']!r}.",
        [
            ("written", f"'after', version {written.version}"),
            ("read at once", f"{plain['value']!r}, version {plain['version']}"),
            ("read with min_version", f"{waited['value']!r}, after {took_ms:.0f} ms"),
        ],
    )


def _empty_follower(stage: Stage, say: Say) -> Result:
    lost = stage.followers[1]
    with stage.client() as client:
        for number in range(100):
            client.put(f"kept-{number}", number)
    say(f"{lost.name} is killed, its directory deleted, and started again")
    stage.do("empty", lost.name)
    stage.do("start", lost.name)
    before = lost.node.get("kept-1").status_code
    took_s = wait_for(lambda: None if lost.node.is_ready() else "not ready")

    [check] = check_copies(stage.leader.node, [lost.node], _PATIENCE_S)
    equal = check.is_equal
    leader, copy = stage.leader.node.copy(), lost.node.copy()
    return Result(
        0 if equal else 1,
        f"{took_s:.1f} s after its start it was ready, and its copy "
        + ("was equal to the leader's" if equal else "differed from the leader's")
        + f", at index {check.index}. Its first read was answered with {before}"
        + (": an empty follower must not say that a key does not exist." if before == 503 else "."),
        [
            ("first read", str(before)),
            ("ready after", f"{took_s:.2f} s"),
            ("keys", f"{len(copy.store)} of {len(leader.store)}"),
            ("copies", "equal" if equal else f"different: {check.problem}"),
        ],
    )


def _leader_restart(stage: Stage, say: Say) -> Result:
    with stage.client(60) as client:
        before = client.put("leader-restart", "before")
        say("the leader is killed with SIGKILL")
        stage.do("kill", stage.leader.name)
        with stage.client(1) as impatient:
            meanwhile = _outcome(impatient, "leader-restart-meanwhile")
            on_follower = stage.followers[0].node.get("leader-restart").status_code
        say(f"a write meanwhile: {meanwhile}; it is started again")
        begin_s = time.monotonic()
        stage.do("start", stage.leader.name)
        after = client.put("leader-restart-after", 1)
        took_s = time.monotonic() - begin_s
        found = client.get("leader-restart")
    kept = found is not None and found.version == before.version
    return Result(
        0 if kept else 1,
        f"The confirmed write was {'still there' if kept else 'gone'}. {took_s:.1f} s after the "
        "start the leader confirmed writes again. Nobody took its place meanwhile: a write was "
        f"{meanwhile}, and a read from a follower was answered with {on_follower}.",
        [
            ("write before", f"version {before.version}"),
            ("write meanwhile", meanwhile),
            ("read from a follower meanwhile", str(on_follower)),
            ("first write after", f"version {after.version}, {took_s:.2f} s after the start"),
        ],
    )


def _replaced_leader(stage: Stage, say: Say) -> Result:
    old = stage.leader
    with stage.client(30) as client:
        client.put("replaced", "by the old leader")
        say("the leader is frozen, and another one started in its place")
        stage.do("freeze", old.name)
        stage.do("replace", old.name)
        new = stage.leader
        wait_for(lambda: None if new.node.is_ready() else "the new leader is not ready")
    with stage.client(30) as client:
        written = client.put("replaced", "by the new leader")
        say("the old leader wakes up")
        stage.do("thaw", old.name)
        answer = old.node.put("replaced", "by the old leader, again")
        wait_for(lambda: None if old.node.status().state == "deposed" else "not deposed yet")
        read = old.node.get("replaced").status_code
        found = client.get("replaced")
    kept = found is not None and found.version == written.version
    confirmed = answer.status_code == 200
    return Result(
        0 if confirmed else 1,
        f"The old leader answered a write with {answer.status_code}"
        + ("" if confirmed else ": its followers follow the new one, and tell it so")
        + f". It is deposed now, and answers reads with {read}. "
        + (
            "The new leader's write is untouched."
            if kept
            else f"The new leader's key now holds {found}."
        ),
        [
            ("write at the new leader", f"version {written.version}"),
            ("write at the old leader", f"{answer.status_code} {answer.text[:120]}"),
            ("read at the old leader", str(read)),
        ],
    )


def _retry(stage: Stage, say: Say) -> Result:
    everyone, frozen = len(stage.followers), stage.followers[0]
    leader = stage.leader.node
    stage.set_quorum(everyone)
    versions: dict[str, list[int | None]] = {}
    for name, headers in (("without", {}), ("with", {"Idempotency_Key": f"retry-{time.time()}"})):
        say(f"a write {name} an idempotency key gets no confirmation, and is repeated")
        stage.do("freeze", frozen.name)
        first = leader.put(f"retry-{name}", 1, **headers)
        stage.do("thaw", frozen.name)
        wait_for(lambda: _why_not_back(stage, frozen.address))
        second = leader.put(f"retry-{name}", 1, **headers)
        versions[name] = [each.json().get("version") for each in (first, second)]
    twice = {name: len(set(found)) == 2 for name, found in versions.items()}
    right = {(True, False): 0, (True, True): 1, (False, False): 2}.get(
        (twice["without"], twice["with"])
    )
    entries = {name: "two entries" if is_twice else "one entry" for name, is_twice in twice.items()}
    return Result(
        right,
        f"Without a key the two requests made {entries['without']}, with one they made "
        f"{entries['with']}.",
        [(f"{name} a key", f"versions {a} and {b}") for name, (a, b) in versions.items()],
    )


def _asynchronous(stage: Stage, say: Say) -> Result:
    leader = stage.leader
    stage.set_quorum(0)
    say("the leader is cut off from all followers, and W=0")
    stage.do("cut", leader.name)
    answer = leader.node.put("asynchronous", "confirmed with W=0")
    say(f"the write was answered with {answer.status_code}; now the leader's machine is lost")
    stage.do("empty", leader.name)
    stage.do("heal", leader.name)
    stage.do("start", leader.name)
    wait_for(lambda: None if leader.node.is_ready() else "the leader is not ready")
    found = leader.node.get("asynchronous").status_code
    lost = answer.status_code == 200 and found == 404
    return Result(
        0 if lost else 1,
        f"The write was answered with {answer.status_code}, the same key afterwards with {found}: "
        + (
            "a confirmed write is gone. W=0 confirms what nobody else holds."
            if lost
            else "it is still there."
        ),
        [("write with W=0", str(answer.status_code)), ("read after the loss", str(found))],
    )


EXPERIMENTS: tuple[Experiment, ...] = (
    Experiment(
        "what-w-costs",
        "What does a larger W cost?",
        "Delays of 0 to 150 ms; 10 writes, one by one, for each W from 1 to all followers.",
        (
            "Nothing to speak of: all requests leave at the same time",
            "A little: less than twice as long from the smallest to the largest W",
            "More than twice as long",
        ),
        _what_does_w_cost,
        needs_processes=False,
    ),
    Experiment(
        "slow-follower",
        "One follower is slow: which writes notice?",
        "Requests to one follower take 200 ms; writes with W=2, and with W=all.",
        ("All writes", "Only those that need all followers", "None"),
        _slow_follower,
        needs_processes=False,
    ),
    Experiment(
        "dead-follower",
        "One of five followers is dead: with which W are there still writes?",
        "A follower is killed; writes with W=4 and with W=5.",
        ("With both", "With W=4 only", "With neither"),
        _dead_follower,
    ),
    Experiment(
        "three-outcomes",
        "A follower that every write needs freezes: how is the first write answered?",
        "W=5, and one follower is frozen (SIGSTOP): its connection stays open.",
        ("200, confirmed", "503, refused", "504, open"),
        _three_outcomes,
    ),
    Experiment(
        "own-write",
        "Do you read your own write from a follower?",
        "W=1, and the follower that is read is 400 ms away; read at once, and with min_version.",
        (
            "At once the old value, with min_version the new one",
            "The new value both times",
            "The old value both times",
        ),
        _own_write,
        needs_processes=False,
    ),
    Experiment(
        "empty-follower",
        "A follower comes back with an empty directory: what does it hold in the end?",
        "100 keys; a follower is killed, its directory deleted, and it is started again.",
        ("The same as the leader", "Only what was written since"),
        _empty_follower,
    ),
    Experiment(
        "leader-restart",
        "The leader is killed and started again: is the last confirmed write still there?",
        "A write is confirmed, then the leader is killed with SIGKILL, and started again.",
        ("Yes", "No"),
        _leader_restart,
    ),
    Experiment(
        "replaced-leader",
        "A leader that was replaced wakes up, and gets a write: does it confirm it?",
        "The leader is frozen, another one started in its place; then the first one is thawed.",
        ("Yes: it does not know that it was replaced", "No: its followers tell it"),
        _replaced_leader,
    ),
    Experiment(
        "retry",
        "A write got no answer in time, and is sent again: is it made twice?",
        "W=5, one follower frozen; the same write twice, without and with an idempotency key.",
        ("Twice without a key, once with one", "Twice in both cases", "Once in both cases"),
        _retry,
    ),
    Experiment(
        "asynchronous",
        "W=0: can a confirmed write be lost?",
        "The leader is cut off, confirms a write with W=0, and loses its disk.",
        ("Yes", "No"),
        _asynchronous,
    ),
)


def find(name: str) -> Experiment:
    """:raises StageError: there is no such experiment."""
    for each in EXPERIMENTS:
        if each.name == name:
            return each
    raise StageError(f"there is no experiment {name!r}")


def perform(experiment: Experiment, stage: Stage, say: Say) -> Result:
    """Run an experiment on a calm cluster, and leave it calm.

    :raises StageError: something did not become true in time.
    """
    if experiment.needs_processes and not isinstance(stage, LocalStage):
        raise StageError("this experiment needs a cluster of the page's own")
    say("waiting until all is well")
    stage.calm()
    try:
        return experiment.run(stage, say)
    finally:
        say("putting everything back")
        stage.calm()
