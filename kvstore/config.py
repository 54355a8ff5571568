"""Settings: read, defaulted and validated in this one place, from environment variables."""

import math
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from kvstore.core.errors import SettingsError

T = TypeVar("T")
D = TypeVar("D")

_LABEL = re.compile("[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")
_ADDRESS = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<host>[^\[\]:]+)):(?P<port>[0-9]{1,5})")

MAX_KEY_LIMIT = 2048  # a percent-encoded key has to fit into gunicorn's request line of 8190 bytes
MAX_VALUE_LIMIT = 16 << 20  # a message with one entry has to fit into messages.BODY_LIMIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one node; docs and defaults are in the README's table.

    :param write_quorum: W; 0 without followers.
    :param min_delay_ms: lower bound of the simulated delay.
    :param repl_timeout_s: how long a write waits for its quorum.
    :param data_dir: None = memory only.
    :param cluster_token: None = no token.
    """

    role: str
    host: str
    port: int
    advertise_url: str
    followers: tuple[str, ...]
    write_quorum: int
    min_delay_ms: float
    max_delay_ms: float
    repl_timeout_s: float
    data_dir: Path | None
    max_key_bytes: int
    max_value_bytes: int
    log_retain: int
    cluster_token: str | None = field(repr=False)


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    :param environ: like ``os.environ``; an empty value counts as unset.
    :raises SettingsError: with every problem at once.
    """
    read = _Reader(environ)
    role = read.get("ROLE", _one_of("leader", "follower"), "follower")
    host = read.get("HOST", _host, "127.0.0.1")
    port = read.get("PORT", _integer(1, 65535), 5000)
    followers: tuple[str, ...] = read.get("FOLLOWERS", _addresses, ())
    if role == "follower":
        followers = ()
    write_quorum = read.get("WRITE_QUORUM", _integer(0, 10_000), min(1, len(followers)))
    min_delay_ms = read.get("MIN_DELAY", _number, 0.1)
    max_delay_ms = read.get("MAX_DELAY", _number, 1.0)
    repl_timeout_s = read.get("REPL_TIMEOUT", _number, 2.0)
    settings = Settings(
        role=role,
        host=host,
        port=port,
        advertise_url=read.get("ADVERTISE_URL", _url, _default_url(host, port)),
        followers=followers,
        write_quorum=write_quorum,
        min_delay_ms=min_delay_ms,
        max_delay_ms=max_delay_ms,
        repl_timeout_s=repl_timeout_s,
        data_dir=read.get("DATA_DIR", Path, None),
        max_key_bytes=read.get("MAX_KEY_BYTES", _integer(1, MAX_KEY_LIMIT), 1024),
        max_value_bytes=read.get("MAX_VALUE_BYTES", _integer(1, MAX_VALUE_LIMIT), 1 << 20),
        log_retain=read.get("LOG_RETAIN", _integer(1, 10_000_000), 20_000),
        cluster_token=read.token(),
    )
    read.problems += _contradictions(settings, read.wrong)
    if read.problems:
        raise SettingsError(read.problems)
    return settings


def _contradictions(settings: Settings, wrong: set[str]) -> list[str]:
    problems = []
    count = len(settings.followers)
    if settings.role == "leader" and settings.write_quorum > count and "FOLLOWERS" not in wrong:
        problems.append(f"WRITE_QUORUM={settings.write_quorum} is more than the {count} FOLLOWERS")
    if settings.repl_timeout_s <= 0:
        problems.append("REPL_TIMEOUT must be more than 0")
    if settings.min_delay_ms > settings.max_delay_ms:
        problems.append(
            f"MIN_DELAY={settings.min_delay_ms:g} is more than MAX_DELAY={settings.max_delay_ms:g}"
        )
    if settings.max_delay_ms >= settings.repl_timeout_s * 1000 > 0:
        problems.append(
            f"MAX_DELAY={settings.max_delay_ms:g} ms must be below "
            f"REPL_TIMEOUT={settings.repl_timeout_s:g} s"
        )
    if len(set(settings.followers)) < count:
        problems.append("FOLLOWERS names an address twice")
    if f"{settings.host}:{settings.port}" in settings.followers:
        problems.append("FOLLOWERS names this node itself")
    return problems


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[str] = []
        self.wrong: set[str] = set()
        """Names of the settings in whose place the default stands."""
        self._environ = environ

    def get(self, name: str, parse: Callable[[str], T], default: D) -> T | D:
        text = self._environ.get(name, "").strip()
        if not text:
            return default
        try:
            return parse(text)
        except ValueError as error:
            self.problems.append(f"{name}={text!r}: {error}")
            self.wrong.add(name)
            return default

    def token(self) -> str | None:
        token = self._environ.get("CLUSTER_TOKEN", "").strip()
        path = self._environ.get("CLUSTER_TOKEN_FILE", "").strip()
        if token and path:
            self.problems.append("set CLUSTER_TOKEN or CLUSTER_TOKEN_FILE, not both")
        if path:
            try:
                token = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self.problems.append(f"CLUSTER_TOKEN_FILE={path!r}: {error}")
                return None
            if not token:
                self.problems.append(f"CLUSTER_TOKEN_FILE={path!r}: the file is empty")
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            # The token itself must not show up in a message.
            self.problems.append("the cluster token must be printable ASCII without spaces")
        return token or None


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"must be {' or '.join(choices)}")
        return text

    return parse


def _integer(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,12}", text) or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number from {lowest} to {highest}")
        return int(text)

    return parse


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError("must be a number from 0")
    return number


def _host(text: str) -> str:
    if not _is_ip_address(text) and not _is_host_name(text):
        raise ValueError(
            f"{text!r} is no IP address and no host name "
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
    # What ends in a number would be taken for an IPv4 address.
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
    _host(parts["ipv6"] or parts["host"])
    return text


def _addresses(text: str) -> tuple[str, ...]:
    addresses, problems = [], []
    for part in text.split(","):
        try:
            addresses.append(_address(part.strip()))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("; ".join(problems))
    return tuple(addresses)


def _url(text: str) -> str:
    try:
        url = urlsplit(text)
        complete = url.scheme in ("http", "https") and url.hostname and text.isprintable()
    except ValueError:
        complete = False
    if not complete:
        raise ValueError("must be a URL like http://host:port")
    _address(url.netloc if _ADDRESS.fullmatch(url.netloc) else f"{url.netloc}:80")
    return text.rstrip("/")


def _default_url(host: str, port: int) -> str:
    if host in ("0.0.0.0", "::"):  # noqa: S104 (recognised here, not chosen)
        host = socket.gethostname()
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
