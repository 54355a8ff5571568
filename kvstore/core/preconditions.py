"""Conditional writes: what a client wants of a key before it is written (RFC 9110, 13.1)."""

from dataclasses import dataclass

from kvstore.core.errors import PreconditionFailed


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

    def check(self, version: int | None) -> None:
        """Compare with the newest version.

        :param version: None when the key does not exist.
        :raises PreconditionFailed: it is not what the client wants.
        """
        if (
            (self.versions is not None and version not in self.versions)
            or (self.not_versions is not None and version in self.not_versions)
            or (self.exists is not None and self.exists != (version is not None))
        ):
            raise PreconditionFailed(version)


ALWAYS = Precondition()
