"""Host names, addresses and URLs in settings, and what makes one valid."""

import re
import socket
from ipaddress import ip_address
from urllib.parse import urlsplit

_LABEL = re.compile("[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")


def parse_host(text: str) -> str:
    """:raises ValueError: it is neither an IP address nor a host name."""
    if not _is_ip_address(text) and not _is_host_name(text):
        raise ValueError(
            f"{text!r} is neither an IP address nor a host name "
            "(1 to 63 letters, digits, - and _ between two dots, 253 in all)"
        )
    return text


def _is_ip_address(text: str) -> bool:
    address, percent, zone = text.partition("%")
    if percent and not (":" in address and re.fullmatch(r"[A-Za-z0-9._-]+", zone)):
        return False
    try:
        ip_address(address)
    except ValueError:
        return False
    return True


def _is_host_name(text: str) -> bool:
    labels = text.removesuffix(".").split(".")
    # A name that ends in a number would be taken for an IPv4 address.
    return (
        len(text) <= 253
        and all(_LABEL.fullmatch(label) for label in labels)
        and not labels[-1].isdigit()
    )


def _address(text: str) -> str:
    parts = _ADDRESS.fullmatch(text)
    if parts is None or not 1 <= int(parts["port"]) <= 65535:
        raise ValueError(f"{text!r} is not host:port")
    if parts["ipv6"] and ":" not in parts["ipv6"]:
        raise ValueError(f"{text!r} is not host:port: only IPv6 addresses stand in brackets")
    parse_host(parts["ipv6"] or parts["host"])
    return text


def parse_addresses(text: str) -> tuple[str, ...]:
    """Parse a comma-separated list of ``host:port``.

    :raises ValueError: names every part that is invalid.
    """
    addresses, problems = [], []
    for part in text.split(","):
        try:
            addresses.append(_address(part.strip()))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(addresses)


def parse_url(text: str) -> str:
    """:raises ValueError: it is not ``http(s)://host[:port]``."""
    try:
        url = urlsplit(text)
        complete = url.scheme in ("http", "https") and url.hostname and text.isprintable()
    except ValueError:
        complete = False
    if not complete:
        raise ValueError("must be a URL like http://host:port")
    _address(url.netloc if _ADDRESS.fullmatch(url.netloc) else f"{url.netloc}:80")
    return text.rstrip("/")


def url_of(host: str, port: int) -> str:
    """The URL of a node that listens there; if on all addresses, with the machine's name."""
    if host in ("0.0.0.0", "::"):  # noqa: S104 (recognised here, not chosen)
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
