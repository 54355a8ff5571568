"""Writes, losses and returns of the cluster that ``docker compose up --build`` makes."""

import pytest
import requests

from kvstore.api_types import NotLeader
from kvstore.client.node_client import decode
from tests.containers.compose import FOLLOWERS, NODES, ComposeProject
from tests.support.answers import found

WRITES = 200


def write_many(cluster: ComposeProject, prefix: str) -> dict[str, int]:
    """Write through the leader; every write must be confirmed."""
    leader = cluster.node("leader")
    written = {f"{prefix}-{number}": number for number in range(WRITES)}
    for key, value in written.items():
        leader.put_confirmed(key, value)
    return written


def test_what_the_leader_takes_is_read_everywhere(cluster: ComposeProject) -> None:
    leader = cluster.node("leader")
    status = leader.status()
    assert (status.role, status.write_quorum) == ("leader", 2)
    assert len(status.followers) == len(FOLLOWERS)
    version = leader.put_confirmed("colour", {"name": "blue"})
    cluster.wait_for_replication()
    for node in NODES:
        answer = found(cluster.node(node).get("colour"))
        assert (answer.value, answer.version) == ({"name": "blue"}, version)
    refused = cluster.node("follower1").put("colour", "red")
    assert refused.status_code == 403
    assert decode(refused, NotLeader).leader == "http://leader:5000"


def test_killed_follower_catches_up_when_it_returns(cluster: ComposeProject) -> None:
    cluster.crash("follower3")
    with pytest.raises(requests.ConnectionError):
        cluster.node("follower3").is_ready()
    written = write_many(cluster, "killed-follower")
    cluster.restart("follower3")
    assert written.items() <= cluster.wait_for_replication().store.items()


@pytest.mark.parametrize("killed", [("leader",), NODES], ids=len)
def test_killed_nodes_return_with_every_confirmed_write(
    cluster: ComposeProject, killed: tuple[str, ...]
) -> None:
    written = write_many(cluster, f"killed-{len(killed)}")
    before = cluster.node("leader").status()
    cluster.crash(*killed)
    cluster.restart(*killed)
    assert written.items() <= cluster.wait_for_replication().store.items()
    after = cluster.node("leader").status()
    assert after.epoch == before.epoch
    assert after.reign != before.reign


def test_data_outlives_the_containers(cluster: ComposeProject) -> None:
    written = write_many(cluster, "removed")
    cluster.compose("down")
    cluster.start_all()
    assert written.items() <= cluster.wait_for_replication().store.items()


def test_sigterm_ends_every_node_by_itself(cluster: ComposeProject) -> None:
    # A node that outlives its grace period is killed, and has exit code 137.
    cluster.compose("stop", "leader")
    cluster.compose("stop", *FOLLOWERS)
    codes = {node: cluster.inspect(node)["State"]["ExitCode"] for node in NODES}
    assert codes == dict.fromkeys(NODES, 0)
    cluster.restart(*NODES)
