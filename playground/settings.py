"""The settings of the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

DEFAULT_PORT = 8000


@dataclass(frozen=True)
class PlaySettings:
    """The settings.

    :param host: the address of the page; whatever it is, the page answers to loopback names only.
    :param port: of the page.
    :param leader_url: of a cluster that runs elsewhere; None = nodes of the page's own.
    :param token: of that cluster.
    :param password: what the page asks for; None = nothing.
    """

    host: str
    port: int
    leader_url: str | None
    token: str | None
    password: str | None

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """Read them.

        :raises ValueError: one is not valid.
        """
        text = environment.get("PORT", "").strip() or str(DEFAULT_PORT)
        if not text.isdecimal() or not 1 <= int(text) <= 65535:
            raise ValueError(f"PORT must be a whole number from 1 to 65535, not {text!r}")
        token = environment.get("KVSTORE_TOKEN", "").strip() or None
        leader_url = environment.get("PLAY_LEADER", "").strip() or None
        host = environment.get("HOST", "").strip() or "127.0.0.1"
        return cls(host, int(text), leader_url, token, token)
