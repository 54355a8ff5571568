"""Who may use the routes between nodes and for operators."""

import pytest
from flask import Flask

from kvstore.core.errors import Forbidden, Unauthorized
from kvstore.http.access import access_check, is_near

TOKEN = "correct-horse"


def check(token: str | None, headers: dict[str, str], address: str = "127.0.0.1") -> None:
    environ = {"REMOTE_ADDR": address}
    with Flask("test").test_request_context("/", headers=headers, environ_base=environ):
        access_check(token)()


@pytest.mark.parametrize(
    "authorization", [f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER  {TOKEN}"]
)
def test_token_opens(authorization: str) -> None:
    check(TOKEN, {"Authorization": authorization}, "203.0.113.9")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": ""},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": f"Bearer {TOKEN[:-1]}"},
        {"Authorization": f"Bearer {TOKEN.upper()}"},
        {"Authorization": "Bearer \u00e9"},
        {"X-Authorization": f"Bearer {TOKEN}"},
    ],
)
def test_anything_else_does_not_not_even_from_here(headers: dict[str, str]) -> None:
    with pytest.raises(Unauthorized) as refused:
        check(TOKEN, headers)
    assert TOKEN not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "near"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("126.255.255.255", False),
        ("128.0.0.1", False),
        ("10.0.0.1", True),
        ("10.255.255.255", True),
        ("9.255.255.255", False),
        ("11.0.0.0", False),
        ("172.16.0.1", True),
        ("172.31.255.255", True),
        ("172.15.255.255", False),
        ("172.32.0.0", False),
        ("192.168.0.1", True),
        ("192.168.255.255", True),
        ("192.167.255.255", False),
        ("192.169.0.0", False),
        ("169.254.169.254", False),  # link-local
        ("100.64.0.1", False),  # shared by a provider's customers
        ("192.0.2.1", False),  # documentation
        ("198.18.0.1", False),  # benchmarks
        ("224.0.0.1", False),
        ("240.0.0.1", False),
        ("0.1.2.3", False),
        ("8.8.8.8", False),
        ("::1", True),
        ("::2", False),
        ("::", False),
        ("fc00::1", True),
        ("fdff:ffff::1", True),
        ("fbff::1", False),
        ("fe00::1", False),
        ("fe80::1", False),
        ("::10.0.0.1", False),  # not a mapped address
        ("64:ff9b::a00:1", False),  # 10.0.0.1 behind NAT64
        ("2002:a00:1::1", False),  # 10.0.0.1 by 6to4
        ("2001:db8::1", False),
        ("::ffff:10.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_without_a_token_the_address_decides(address: str, near: bool) -> None:
    assert is_near(address) is near
    if near:
        check(None, {}, address)
    else:
        with pytest.raises(Forbidden):
            check(None, {"Authorization": f"Bearer {TOKEN}"}, address)
