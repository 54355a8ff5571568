"""Conditional writes: what a client wants of a key before it is written (RFC 9110, 13.1)."""

from dataclasses import dataclass, replace
from typing import Literal

from kvstore.core.errors import PreconditionFailed

Versions = frozenset[int] | Literal["*"] | None
"""What If-Match or If-None-Match lists; ``*`` = any version, None = the client does not say."""


@dataclass(frozen=True, slots=True)
class Precondition:
    """What must be true of the key's newest version.

    :param versions: it must be one of these; None = any will do.
    :param not_versions: it must be none of these; None = any will do.
    :param exists: the key must, or must not, exist; None = either will do.
    """

    versions: frozenset[int] | None = None
    not_versions: frozenset[int] | None = None
    exists: bool | None = None

    @classmethod
    def of(cls, match: Versions, none_match: Versions) -> "Precondition":
        """What If-Match and If-None-Match ask for together."""
        if none_match != "*":
            wanted = cls(exists=True) if match == "*" else cls(versions=match)
            return replace(wanted, not_versions=none_match)
        if match == "*":
            return cls(versions=frozenset())  # must exist, and must not: no version will do
        return cls(versions=match, exists=False)

    def holds(self, version: int | None) -> bool:
        """Whether the newest version is what the client wants.

        :param version: None when the key does not exist.
        """
        return (
            (self.versions is None or version in self.versions)
            and (self.not_versions is None or version not in self.not_versions)
            and (self.exists is None or self.exists == (version is not None))
        )

    def check(self, version: int | None) -> None:
        """:raises PreconditionFailed: it does not hold."""
        if not self.holds(version):
            raise PreconditionFailed(version)


ALWAYS = Precondition()
