from collections.abc import Sequence

import pytest

from analysis.nodes.errors import ClusterError, NodeUnavailableError
from analysis.nodes.free_ports import free_ports
from analysis.nodes.node_client import NodeClient
from analysis.study.cluster import Cluster, recognise
from kvstore.api_types import Status
from tests.support.statuses import follower_seen, node_status
from tests.unit.analysis.conftest import StartServer


def leader_of(*nodes: str) -> Status:
    return node_status(*map(follower_seen, nodes), node="L")


def follower(node: str) -> Status:
    return node_status(role="follower", node=node)


def recognise_urls(leader: str, followers: Sequence[str]) -> Cluster:
    clients = [NodeClient(url) for url in (leader, *followers)]
    try:
        return recognise(clients[0], clients[1:])
    finally:
        for client in clients:
            client.close()


def test_followers_are_matched_with_the_leaders_names_for_them(start_server: StartServer) -> None:
    leader = start_server(status=leader_of("A", "B"))
    urls = [start_server(status=follower(node)).url for node in ("B", "A")]
    assert recognise_urls(leader.url, urls).addresses == ("B:5000", "A:5000")


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
    start_server: StartServer, leader: Status, given: list[str], reason: str
) -> None:
    urls = [start_server(status=follower(node)).url for node in given]
    with pytest.raises(ClusterError, match=reason):
        recognise_urls(start_server(status=leader).url, urls)


def test_an_unreachable_follower_is_refused(start_server: StartServer) -> None:
    nobody = f"http://127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(NodeUnavailableError, match="ConnectionError"):
        recognise_urls(start_server(status=leader_of("A")).url, [nobody])


def test_something_else_than_a_node_is_refused(start_server: StartServer) -> None:
    with pytest.raises(NodeUnavailableError, match="missing required field"):
        recognise_urls(start_server(status={"status": "fine"}).url, [])
