"""Who may use the routes between nodes and for operators."""

import pytest
from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder

from kvstore.core.errors import Forbidden, Unauthorized
from kvstore.http.access import access_check

TOKEN = "correct-horse"


def check(token: str | None, headers: dict[str, str], address: str = "127.0.0.1") -> None:
    builder = EnvironBuilder(headers=Headers(headers), environ_base={"REMOTE_ADDR": address})
    access_check(token)(builder.get_environ())


@pytest.mark.parametrize(
    "authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"]
)
def test_token_opens(authorization: str) -> None:
    check(TOKEN, {"Authorization": authorization}, "203.0.113.9")


WRONG = ["", TOKEN, f"Basic {TOKEN}", "Bearer", "Bearer \u00e9"]
WRONG += [f"Bearer {token}" for token in (f"{TOKEN}x", TOKEN[:-1], TOKEN.upper())]


@pytest.mark.parametrize("authorization", [None, *WRONG])
def test_anything_else_does_not_not_even_from_here(authorization: str | None) -> None:
    with pytest.raises(Unauthorized) as refused:
        check(TOKEN, {} if authorization is None else {"Authorization": authorization})
    assert TOKEN not in str(refused.value)


NEAR = """
127.0.0.1 127.255.255.254 10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255
192.168.0.1 192.168.255.255 ::1 fc00::1 fdff:ffff::1 ::ffff:10.0.0.1
"""
FAR = """
126.255.255.255 128.0.0.1 9.255.255.255 11.0.0.0 172.15.255.255 172.32.0.0
192.167.255.255 192.169.0.0 8.8.8.8 0.1.2.3 ::2 :: fbff::1 fe00::1 ::ffff:8.8.8.8 localhost
"""
SPECIAL = """
169.254.169.254 fe80::1 100.64.0.1 192.0.2.1 2001:db8::1 198.18.0.1 224.0.0.1 240.0.0.1
"""
"""Link-local, shared by a provider's customers, documentation, benchmarks, multicast, reserved."""
HIDDEN = "::10.0.0.1 64:ff9b::a00:1 2002:a00:1::1"
"""10.0.0.1 in ways that are no mapped address: compatible, NAT64 and 6to4."""


@pytest.mark.parametrize("address", NEAR.split())
def test_without_a_token_addresses_that_are_near_may(address: str) -> None:
    check(None, {}, address)


@pytest.mark.parametrize("address", ["", *f"{FAR} {SPECIAL} {HIDDEN}".split()])
def test_without_a_token_no_others_may_whatever_they_send(address: str) -> None:
    with pytest.raises(Forbidden):
        check(None, {"Authorization": f"Bearer {TOKEN}"}, address)
