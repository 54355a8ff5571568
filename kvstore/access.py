"""Who may use the routes between nodes and for operators."""

import hmac
import ipaddress
from collections.abc import Callable

from flask import request

from kvstore.errors import Forbidden, Unauthorized


def access_check(token: str | None) -> Callable[[], None]:
    """Build a check to run before a request's body is read.

    :param token: the cluster's bearer token. None: callers must have a loopback or a private
        address instead.
    """

    def check_token() -> None:
        assert token is not None
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode(), token.encode())
        if scheme.lower() != "bearer" or not matches:
            raise Unauthorized("this route needs the cluster's bearer token")

    def check_address() -> None:
        if not _is_near(request.remote_addr or ""):
            raise Forbidden("without CLUSTER_TOKEN this route serves private addresses only")

    return check_address if token is None else check_token


def _is_near(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_private
