"""Are two nodes' copies of the data equal?"""

import json
from dataclasses import dataclass

from kvstore.api_types import Store

_SHOWN_KEYS = 5


@dataclass(frozen=True)
class CopyDifference:
    """How a follower's copy differs from the leader's; all fields are empty for equal copies.

    :param missing_keys: keys that only the leader has.
    :param extra_keys: keys that only the follower has.
    :param different_values: keys both have, with different values.
    :param different_versions: keys whose versions differ or that only one has a version of.
    :param different_facts: which of ``index``, ``epoch`` and ``digest`` differ.
    """

    missing_keys: tuple[str, ...] = ()
    extra_keys: tuple[str, ...] = ()
    different_values: tuple[str, ...] = ()
    different_versions: tuple[str, ...] = ()
    different_facts: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether the copies are equal in everything."""
        return self == CopyDifference()

    def describe(self) -> str:
        """One line: every kind of difference with its number and a few examples."""
        kinds = {
            "missing keys": self.missing_keys,
            "extra keys": self.extra_keys,
            "different values": self.different_values,
            "different versions": self.different_versions,
            "different": self.different_facts,
        }
        return "; ".join(f"{kind}: {_some(items)}" for kind, items in kinds.items() if items)


def compare_copies(leader: Store, follower: Store) -> CopyDifference:
    """Compare two copies in everything they hold.

    :param leader: the leader's copy.
    :param follower: the follower's, meant to be taken at the same index.
    :return: the differences, keys in ascending order.
    """
    ours, theirs = set(leader.store), set(follower.store)
    return CopyDifference(
        missing_keys=tuple(sorted(ours - theirs)),
        extra_keys=tuple(sorted(theirs - ours)),
        different_values=tuple(
            key
            for key in sorted(ours & theirs)
            if _canonical(leader.store[key]) != _canonical(follower.store[key])
        ),
        different_versions=tuple(
            key
            for key in sorted(set(leader.versions) | set(follower.versions))
            if leader.versions.get(key) != follower.versions.get(key)
        ),
        different_facts=tuple(
            name
            for name in ("index", "epoch", "digest")
            if getattr(leader, name) != getattr(follower, name)
        ),
    )


def _canonical(value: object) -> str:
    # As text, because to Python 1, 1.0 and True are equal, and in JSON they differ.
    return json.dumps(value, sort_keys=True)


def _some(items: tuple[str, ...]) -> str:
    shown = ", ".join(items[:_SHOWN_KEYS])
    return f"{len(items)} ({shown}{', ...' if len(items) > _SHOWN_KEYS else ''})"
