import re
from contextlib import ExitStack
from typing import Any

import pytest

from analysis.nodes.free_ports import free_ports
from kvstore.client.convergence import CopyCheck, check_copies
from kvstore.client.copies import CopyDifference
from kvstore.client.node_client import NodeClient
from tests.unit.conftest import Serve

PATH = "/admin/store"


def store(index: int = 7, **changes: Any) -> dict[str, Any]:
    plain = {"store": {"a": 1}, "versions": {"a": 7}, "index": index, "epoch": 1}
    return {**plain, "digest": "d" * 64, **changes}


def check(leader: str, *followers: str) -> list[CopyCheck]:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(NodeClient(url)) for url in (leader, *followers)]
        return check_copies(first, others, timeout_s=0.3)


def test_a_follower_that_catches_up_is_waited_for(serve: Serve) -> None:
    late = [store(5, digest="e" * 64), (503, {"error": "catching up"}), store(6), store()]
    assert check(serve(PATH, store()), serve(PATH, *late))[0].is_equal


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
    serve: Serve, answer: object, reason: str
) -> None:
    good = serve(PATH, store())
    first, second = check(serve(PATH, store()), good, serve(PATH, answer))
    assert first == CopyCheck(good, 7, CopyDifference(), None)
    assert first.is_equal
    assert not second.is_equal
    assert re.search(reason, str(second.problem))


def test_an_unreachable_follower_fails_the_check(serve: Serve) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    (result,) = check(serve(PATH, store()), nobody)
    assert result.problem == f"no copy: {nobody}/admin/store: ConnectionError"


def test_an_unusable_leader_fails_the_check_of_every_follower(serve: Serve) -> None:
    followers = [serve(PATH, store()) for _ in range(2)]
    results = check(serve(PATH, (503, {"error": "not ready"})), *followers)
    assert [result.is_equal for result in results] == [False, False]
    assert all("no copy of the leader" in str(result.problem) for result in results)
