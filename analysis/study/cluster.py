"""The nodes under study: local ones, or those of a running cluster."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.nodes.cluster_token import token_headers
from analysis.nodes.errors import ClusterError
from analysis.nodes.local_cluster import LocalCluster
from analysis.nodes.node import Node
from analysis.study.settings import StudySettings
from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient


@dataclass(frozen=True)
class Cluster:
    """One leader and all its followers.

    :param leader: the leader.
    :param followers: every follower, each of them once.
    :param addresses: what the leader calls each follower, in the same order.
    :param local_nodes: the leader and then the followers, where they run on this machine as the
        study's own; else empty.
    """

    leader: NodeClient
    followers: tuple[NodeClient, ...]
    addresses: tuple[str, ...]
    local_nodes: tuple[Node, ...] = ()


@contextmanager
def open_cluster(settings: StudySettings) -> Iterator[Cluster]:
    """Start local nodes or connect to the given ones; leave the latter with the W they had, and
    with the simulated delay of the settings, if those have one.

    :raises ClusterError: when the nodes are not what they should be.
    :raises NodeUnavailableError: when one of them does not answer.
    :raises NodeError: when a local node does not start.
    """
    with ExitStack() as stack:
        leader_url, follower_urls = settings.leader_url, settings.follower_urls
        local_nodes: tuple[Node, ...] = ()
        if leader_url is None:
            settings.folder.mkdir(parents=True, exist_ok=True)
            data = stack.enter_context(TemporaryDirectory(dir=settings.folder, prefix="data-"))
            local = stack.enter_context(_local_cluster(settings, Path(data)))
            leader_url = local.leader.url
            follower_urls = tuple(node.url for node in local.followers)
            local_nodes = tuple(local.nodes)
        headers = token_headers()
        leader = stack.enter_context(NodeClient(leader_url, headers))
        followers = [stack.enter_context(NodeClient(url, headers)) for url in follower_urls]
        cluster = replace(recognise(leader, followers), local_nodes=local_nodes)
        if settings.is_local:
            yield cluster
            return
        write_quorum = leader.status().write_quorum
        assert write_quorum is not None, "a leader has one"
        try:
            yield cluster
        finally:
            with suppress(NodeUnavailableError):
                leader.set_quorum(write_quorum)
                if settings.delay_ms is not None:
                    leader.set_delay(*settings.delay_ms)


def _local_cluster(settings: StudySettings, data_root: Path) -> LocalCluster:
    assert settings.delay_ms is not None
    low, high = settings.delay_ms
    return LocalCluster(
        settings.follower_count,
        settings.folder / "nodes",
        settings={"MIN_DELAY": str(low), "MAX_DELAY": str(high)},
        data_root=data_root,
    )


def recognise(leader: NodeClient, followers: Sequence[NodeClient]) -> Cluster:
    """Make sure that these are a leader and all its followers, each of them once.

    Otherwise a copy could be left out, or compared with itself.

    :raises ClusterError: when they are not.
    :raises NodeUnavailableError: when one of them does not answer.
    """
    status = leader.status()
    if status.role != "leader":
        raise ClusterError(f"{leader.url} is not a leader but a {status.role}")
    addresses = {follower.node: follower.address for follower in status.followers}
    nodes = [follower.status().node for follower in followers]
    for follower, node in zip(followers, nodes, strict=True):
        if node not in addresses:
            raise ClusterError(f"{follower.url} is not a follower of {leader.url}")
    if len(nodes) != len(addresses) or set(nodes) != addresses.keys():
        raise ClusterError(
            f"{leader.url} has {len(addresses)} followers; {len(set(nodes))} of them were given, "
            f"in {len(nodes)} URLs"
        )
    return Cluster(leader, tuple(followers), tuple(addresses[node] for node in nodes))
