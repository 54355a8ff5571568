"""Which key every write of a load goes to, and what a confirmed answer looks like."""

import random
from dataclasses import dataclass
from typing import NamedTuple, Self
from urllib.parse import quote

import msgspec

from analysis.study.load import LoadSpec
from kvstore.api_types import Store, Written


@dataclass(frozen=True)
class Write:
    """One write of a load.

    :param key: the key as text.
    :param path: the request's path, with the key percent-encoded.
    :param value: the value, different for every write of a load.
    """

    key: str
    path: str
    value: int


class Share(NamedTuple):
    """One of several equal shares of a load.

    :param number: from 0.
    :param of: how many there are.
    """

    number: int
    of: int


WHOLE = Share(0, 1)


class WritePlan:
    """Exactly ``writes`` writes over ``keys`` keys, handed out one at a time to many users.

    Every key gets the same number of writes, give or take one, in an order drawn from the seed.

    :param writes: number of writes, 1 or more.
    :param keys: number of keys, 1 or more.
    :param key_prefix: what every key begins with.
    :param seed: the same seed gives the same order.
    :param share: which of the writes to hand out: one of several processes has its share of them.
    :raises ValueError: when there is nothing to write or no key to write it to.
    """

    def __init__(
        self, writes: int, keys: int, key_prefix: str, seed: int, share: Share = WHOLE
    ) -> None:
        if writes < 1:
            raise ValueError(f"writes must be 1 or more, not {writes}")
        if keys < 1:
            raise ValueError(f"keys must be 1 or more, not {keys}")
        self.writes = len(range(share.number, writes, share.of))
        self.answered = 0
        self._share = share
        width = len(str(keys - 1))
        self._keys = [f"{key_prefix}{number:0{width}d}" for number in range(keys)]
        self._paths = [f"/put/{quote(key, safe='')}" for key in self._keys]
        self._order = [number % keys for number in range(writes)]
        random.Random(seed).shuffle(self._order)
        self._handed_out = 0

    @classmethod
    def of(cls, spec: LoadSpec) -> Self:
        """The plan of a load."""
        return cls(spec.writes, spec.keys, spec.key_prefix, spec.seed)

    @property
    def keys(self) -> list[str]:
        """The keys that the writes are spread over."""
        return self._keys

    def values_by_key(self) -> dict[str, set[int]]:
        """Every key of the plan that is written, with all values written to it."""
        values: dict[str, set[int]] = {}
        for value, key_number in enumerate(self._order):
            values.setdefault(self._keys[key_number], set()).add(value)
        return values

    def why_not_in(self, copy: Store, before_index: int) -> list[str]:
        """Look for every key of the plan in the leader's copy after the load.

        A key must be there, with a value that was written to it, and with a version of the load.

        :param copy: the leader's copy.
        :param before_index: the leader's last index before the load.
        :return: what is wrong, empty when nothing is.
        """
        missing = foreign = old = 0
        for key, values in self.values_by_key().items():
            if key not in copy.store:
                missing += 1
            else:
                foreign += type(copy.store[key]) is not int or copy.store[key] not in values
                old += copy.versions.get(key, 0) <= before_index
        problems = {
            "keys are missing on the leader": missing,
            "keys on the leader have a value that was not written to them": foreign,
            "keys on the leader have a version from before the load": old,
        }
        return [f"{count} {what}" for what, count in problems.items() if count]

    @property
    def is_handed_out(self) -> bool:
        """Whether no write is left to take."""
        return self._handed_out == self.writes

    @property
    def is_complete(self) -> bool:
        """Whether every write was sent and has ended, well or badly."""
        return self.answered == self.writes

    def take(self) -> Write | None:
        """Hand out the next write.

        :return: the write, or ``None`` when all are handed out.
        """
        if self.is_handed_out:
            return None
        value = self._share.number + self._handed_out * self._share.of
        self._handed_out += 1
        key_number = self._order[value]
        return Write(self._keys[key_number], self._paths[key_number], value)


def why_not_confirmed(
    status_code: int, body: bytes | None, key: str, write_quorum: int | None
) -> str | None:
    """Judge the answer to one write; only a complete confirmation counts.

    The reasons name no key and no version, so that equal failures are counted as one kind.

    :param status_code: HTTP status; 0 when the connection was lost. The outcome is open then, and
        an open outcome is not a confirmed write.
    :param body: body of the answer, ``None`` when there is none.
    :param key: the key that was written.
    :param write_quorum: followers that must hold the write, ``None`` when that is not known.
    :return: ``None`` when the write is confirmed, else the reason.
    """
    if status_code == 0:
        return "no answer: the outcome is open"
    if status_code != 200:
        return f"HTTP {status_code}: {_reason(body)}"
    try:
        answer = msgspec.json.decode(body or b"", type=Written)
    except ValueError as error:
        return f"HTTP 200, but no confirmation: {error}"
    wrong = {
        "key": answer.key != key,
        "version": answer.version < 1,
        "replicas_confirmed": answer.replicas_confirmed < (write_quorum or 0),
    }
    names = ", ".join(name for name, is_wrong in wrong.items() if is_wrong)
    return f"HTTP 200 with a wrong {names}" if names else None


def _reason(body: bytes | None) -> str:
    try:
        answer = msgspec.json.decode(body or b"", type=dict[str, object])
    except ValueError:
        return "no JSON object"
    return str(answer.get("reason") or answer.get("error") or "no reason")
