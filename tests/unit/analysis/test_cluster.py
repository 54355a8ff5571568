from collections.abc import Sequence
from contextlib import ExitStack

import pytest

from analysis.nodes.errors import ClusterError
from analysis.nodes.free_ports import free_ports
from analysis.study.cluster import Cluster, recognise
from kvstore.api_types import Status
from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient
from tests.support.statuses import follower_seen, node_status
from tests.unit.conftest import Serve


def leader_of(*nodes: str) -> Status:
    return node_status(*map(follower_seen, nodes), node="L")


def follower(node: str) -> Status:
    return node_status(role="follower", node=node)


def recognise_urls(leader: str, followers: Sequence[str]) -> Cluster:
    with ExitStack() as stack:
        first, *others = [stack.enter_context(NodeClient(url)) for url in (leader, *followers)]
        return recognise(first, others)


def test_followers_are_matched_with_the_leaders_names_for_them(serve: Serve) -> None:
    urls = [serve("/status", follower(node)) for node in ("B", "A")]
    cluster = recognise_urls(serve("/status", leader_of("A", "B")), urls)
    assert cluster.addresses == ("B:5000", "A:5000")


@pytest.mark.parametrize(
    ("leader", "given", "reason"),
    [
        (leader_of("A", "B"), ["A"], "has 2 followers; 1 of them were given, in 1 URLs"),
        (leader_of("A", "B"), ["A", "A"], "has 2 followers; 1 of them were given, in 2 URLs"),
        (leader_of("A"), ["A", "A"], "has 1 followers; 1 of them were given, in 2 URLs"),
        (leader_of("A"), ["C"], "is not a follower of"),
        (leader_of("A"), ["L"], "is not a follower of"),
        (follower("A"), ["A"], "is not a leader but a follower"),
    ],
)
def test_other_nodes_are_refused(
    serve: Serve, leader: Status, given: list[str], reason: str
) -> None:
    urls = [serve("/status", follower(node)) for node in given]
    with pytest.raises(ClusterError, match=reason):
        recognise_urls(serve("/status", leader), urls)


def test_what_answers_nothing_or_is_no_node_is_refused(serve: Serve) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(NodeUnavailableError, match="ConnectionError"):
        recognise_urls(serve("/status", leader_of("A")), [nobody])
    with pytest.raises(NodeUnavailableError, match="missing required field"):
        recognise_urls(serve("/status", {"status": "fine"}), [])
