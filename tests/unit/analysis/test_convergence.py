from typing import Any

import pytest

from analysis.nodes.convergence import CopyCheck, check_copies
from analysis.nodes.copies import CopyDifference
from analysis.nodes.free_ports import free_ports
from analysis.nodes.node_client import NodeClient
from tests.support.scripted_server import ScriptedServer
from tests.unit.analysis.conftest import StartServer

TIMEOUT_S = 0.3


def store(index: int = 7, **changes: Any) -> dict[str, Any]:
    plain = {"store": {"a": 1}, "versions": {"a": 7}, "index": index, "epoch": 1}
    return {**plain, "digest": "d" * 64, **changes}


def check(leader: ScriptedServer, *followers: str) -> list[CopyCheck]:
    clients = [NodeClient(url) for url in (leader.url, *followers)]
    try:
        return check_copies(clients[0], clients[1:], TIMEOUT_S)
    finally:
        for client in clients:
            client.close()


def test_equal_copies_pass(start_server: StartServer) -> None:
    leader, follower = start_server(store=store()), start_server(store=store())
    assert check(leader, follower.url) == [CopyCheck(follower.url, 7, CopyDifference(), None)]


def test_a_follower_that_catches_up_is_waited_for(start_server: StartServer) -> None:
    leader = start_server(store=store())
    late = [store(5, digest="e" * 64), (503, {"error": "catching up"}), store(6), store()]
    follower = start_server(store=late)
    assert check(leader, follower.url)[0].is_equal


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (store(store={}), r"missing keys: 1 \(a\)"),
        (store(digest="0" * 64), "digest"),
        (store(6), "never at the leader's index: last seen at 6, the leader at 7"),
        (store(8), "never at the leader's index: last seen at 8, the leader at 7"),
        ((503, {"error": "catching up"}), "no copy: .*HTTP 503 .*catching up"),
        ((200, ["no", "object"]), "no copy: .*HTTP 200"),
        ((200, {"store": {}}), "no copy: .*missing required field"),
    ],
)
def test_every_damage_of_one_follower_fails_the_check_of_that_follower(
    start_server: StartServer, answer: object, reason: str
) -> None:
    leader, good, bad = (
        start_server(store=store()),
        start_server(store=store()),
        start_server(store=answer),
    )
    first, second = check(leader, good.url, bad.url)
    assert first.is_equal
    assert not second.is_equal
    with pytest.raises(AssertionError, match=reason):
        raise AssertionError(second.problem)


def test_an_unreachable_follower_fails_the_check(start_server: StartServer) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    (result,) = check(start_server(store=store()), nobody)
    assert result.problem == f"no copy: {nobody}/admin/store: ConnectionError"


def test_an_unusable_leader_fails_the_check_of_every_follower(start_server: StartServer) -> None:
    leader = start_server(store=(503, {"error": "not ready"}))
    followers = [start_server(store=store()) for _ in range(2)]
    results = check(leader, *(follower.url for follower in followers))
    assert [result.is_equal for result in results] == [False, False]
    assert all("no copy of the leader" in str(result.problem) for result in results)
