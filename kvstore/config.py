"""Settings: read, defaulted and validated in this one place, from environment variables.

To add one, add a field to :class:`Settings`, and a row to the README's table.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple, get_origin, get_type_hints

from kvstore.core.errors import SettingsError
from kvstore.http.addresses import parse_addresses, parse_host, parse_url, url_of

MAX_KEY_LIMIT = 2048  # a percent-encoded key has to fit into gunicorn's request line of 8190 bytes
MAX_VALUE_LIMIT = 16 << 20  # a message with one entry has to fit into messages.BODY_LIMIT


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
        raise ValueError("must be a number, 0 or more")
    return number


class Variable(NamedTuple):
    """The environment variable that a setting is read from.

    :param parse: raises :class:`ValueError` for an invalid value.
    :param default: None if there is none, or if it depends on other settings.
    """

    name: str
    parse: Callable[[str], object]
    default: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of one node; what they mean is in the README's table.

    :param write_quorum: W; where it is not set, 1, or 0 without followers.
    :param min_delay_ms: lower bound of the simulated delay.
    :param repl_timeout_s: how long a write waits for its quorum.
    :param data_dir: None = memory only.
    :param cluster_token: None = no token.
    """

    role: Annotated[str, Variable("ROLE", _one_of("leader", "follower"), "follower")]
    host: Annotated[str, Variable("HOST", parse_host, "127.0.0.1")]
    port: Annotated[int, Variable("PORT", _integer(1, 65535), 5000)]
    advertise_url: Annotated[str, Variable("ADVERTISE_URL", parse_url)]
    followers: Annotated[tuple[str, ...], Variable("FOLLOWERS", parse_addresses, ())]
    write_quorum: Annotated[int, Variable("WRITE_QUORUM", _integer(0, 10_000))]
    min_delay_ms: Annotated[float, Variable("MIN_DELAY", _number, 0.1)]
    max_delay_ms: Annotated[float, Variable("MAX_DELAY", _number, 1.0)]
    repl_timeout_s: Annotated[float, Variable("REPL_TIMEOUT", _number, 2.0)]
    data_dir: Annotated[Path | None, Variable("DATA_DIR", Path)]
    max_key_bytes: Annotated[int, Variable("MAX_KEY_BYTES", _integer(1, MAX_KEY_LIMIT), 1024)]
    max_value_bytes: Annotated[
        int, Variable("MAX_VALUE_BYTES", _integer(1, MAX_VALUE_LIMIT), 1 << 20)
    ]
    log_retain: Annotated[int, Variable("LOG_RETAIN", _integer(1, 10_000_000), 20_000)]
    cluster_token: str | None = field(repr=False)


VARIABLES: dict[str, Variable] = {
    name: hint.__metadata__[0]
    for name, hint in get_type_hints(Settings, include_extras=True).items()
    if get_origin(hint) is Annotated
}
"""By field; the cluster's token has two variables, of which one may be set."""
TOKEN, TOKEN_FILE = "CLUSTER_TOKEN", "CLUSTER_TOKEN_FILE"
NAMES = frozenset({variable.name for variable in VARIABLES.values()} | {TOKEN, TOKEN_FILE})
"""Every environment variable that is a setting of a node."""


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings.

    :param environ: like ``os.environ``; an empty value counts as unset.
    :raises SettingsError: with every problem at once.
    """
    read = _Reader(environ)
    values: dict[str, Any] = {name: read.get(variable) for name, variable in VARIABLES.items()}
    if values["role"] == "follower":
        values["followers"] = ()
    if values["write_quorum"] is None:
        values["write_quorum"] = min(1, len(values["followers"]))
    if values["advertise_url"] is None:
        values["advertise_url"] = url_of(values["host"], values["port"])
    settings = Settings(**values, cluster_token=read.token())
    problems = read.problems + _contradictions(settings, read.wrong)
    if problems:
        raise SettingsError(problems)
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
        """Names of invalid settings, which the default stands in for."""
        self._environ = environ

    def get(self, variable: Variable) -> object:
        text = self._environ.get(variable.name, "").strip()
        if not text:
            return variable.default
        try:
            return variable.parse(text)
        except ValueError as error:
            self.problems.append(f"{variable.name}={text!r}: {error}")
            self.wrong.add(variable.name)
            return variable.default

    def token(self) -> str | None:
        token = self._environ.get(TOKEN, "").strip()
        path = self._environ.get(TOKEN_FILE, "").strip()
        if token and path:
            self.problems.append(f"set {TOKEN} or {TOKEN_FILE}, not both")
        if path:
            try:
                token = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                self.problems.append(f"{TOKEN_FILE}={path!r}: {error}")
                return None
            if not token:
                self.problems.append(f"{TOKEN_FILE}={path!r}: the file is empty")
        if not re.fullmatch(r"[\x21-\x7e]*", token):
            # The token itself must not show up in a message.
            self.problems.append("the cluster token must be printable ASCII without spaces")
        return token or None
