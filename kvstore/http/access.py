"""Who may use the routes between nodes and for operators."""

import hmac
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

from kvstore.core.errors import Forbidden, Unauthorized

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

AccessCheck = Callable[["WSGIEnvironment"], None]
"""Raises when the caller may not use a route."""

NEAR_NETWORKS: tuple[IPv4Network | IPv6Network, ...] = (
    IPv4Network("127.0.0.0/8"),
    IPv4Network("10.0.0.0/8"),
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("::1/128"),
    IPv6Network("fc00::/7"),
)
"""Loopback, and the private networks of RFC 1918 and RFC 4193.

Python's ``is_private`` covers more: networks for documentation and benchmarks, link-local addresses
(everyone on the same wire has one), 0.0.0.0/8. None of those shows that someone chose to trust it.
"""


def access_check(token: str | None) -> AccessCheck:
    """Build a check to run before a request's body is read.

    :param token: the cluster's bearer token. None: callers must have an address in
        ``NEAR_NETWORKS`` instead.
    """

    def check_token(environ: "WSGIEnvironment") -> None:
        assert token is not None
        scheme, _, given = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode(), token.encode())
        if scheme.lower() != "bearer" or not matches:
            raise Unauthorized("this route needs the cluster's bearer token")

    def check_address(environ: "WSGIEnvironment") -> None:
        if not is_near(environ["REMOTE_ADDR"]):
            raise Forbidden("without CLUSTER_TOKEN this route serves private addresses only")

    return check_address if token is None else check_token


def is_near(text: str) -> bool:
    """Whether an address lies in ``NEAR_NETWORKS``.

    :param text: also an IPv4 address as a socket for both families shows it (``::ffff:10.0.0.1``);
        anything that is not an address is not near.
    """
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in NEAR_NETWORKS)
