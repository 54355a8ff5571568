"""The nodes of a cluster, as far as the command line can reach them."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kvstore.api_types import Status
from kvstore.client import Client, NodeUnavailableError
from kvstore.client.node_client import NodeClient

_LOOK_TIMEOUT_S = 1.5


@dataclass(frozen=True)
class Member:
    """One node.

    :param node: how it is reached.
    :param status: what it says; None = it does not answer.
    """

    node: NodeClient
    status: Status | None


@dataclass(frozen=True)
class Members:
    """All nodes that were given, and those that the leader names.

    :param leader: None = no node that leads answers.
    :param others: the followers, and nodes that do not answer.
    """

    leader: Member | None
    others: Sequence[Member]


def look(client: Client) -> Members:
    """Ask every node what it is.

    A follower that was given is asked where it was given: what the leader calls it may be an
    address that only the leader can reach.

    :raises NodeUnavailableError: no node answers.
    """
    given = _ask(client.nodes)
    answering = [each for each in given if each.status is not None]
    if not answering:
        urls = ", ".join(each.node.url for each in given)
        raise NodeUnavailableError(f"no node answers at {urls}")
    leader = max(
        (each for each in answering if each.status and each.status.role == "leader"),
        key=_rank,
        default=None,
    )
    if leader is not None:
        others = [each for each in given if each is not leader]
        return Members(leader, [*others, *_followers(client, given, leader)])
    named = _leaders(client, answering)
    leader = next((each for each in named if each.status is not None), None)
    if leader is None:
        return Members(None, [*named, *given])
    return Members(leader, [*given, *_followers(client, given, leader)])


def _rank(member: Member) -> tuple[bool, int]:
    assert member.status is not None
    return member.status.reign is not None, member.status.epoch


def _leaders(client: Client, answering: Sequence[Member]) -> list[Member]:
    """Whom the nodes name as their leader, and nobody has given."""
    urls = {each.status.leader for each in answering if each.status and each.status.leader}
    given = {node.url for node in client.nodes}
    return _ask([client.node(url) for url in sorted(urls) if url not in given])


def _followers(client: Client, given: Sequence[Member], leader: Member) -> list[Member]:
    """The followers that the leader names, and nobody has given."""
    assert leader.status is not None
    known = {each.status.node for each in given if each.status is not None}
    urls = {each.node.url for each in given}
    named = [each for each in leader.status.followers if each.node not in known]
    return _ask(
        [client.node(url) for each in named if (url := f"http://{each.address}") not in urls]
    )


def _ask(nodes: Sequence[NodeClient]) -> list[Member]:
    def ask(node: NodeClient) -> Member:
        try:
            return Member(node, node.status(timeout_s=_LOOK_TIMEOUT_S))
        except NodeUnavailableError:
            return Member(node, None)

    if not nodes:
        return []
    with ThreadPoolExecutor(len(nodes)) as pool:
        return list(pool.map(ask, nodes))
