"""What a leader's record of its exchanges tells about every write of a run.

Only differences of its times are used, all of one clock, so this works for any cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.study.statistics import Floats
from kvstore.api_types import Exchange

NEAR_MS = 0.3
"""A delay that ends within this time after another request was sent ends *close behind* it."""

LATER_MS = (0, 1, 10, 100)
"""How long after its confirmation the copies of a write are counted, in milliseconds."""


@dataclass(frozen=True)
class Waits:
    """When each write went to each follower: one row for each write, one column for each follower.

    Seconds of the leader's clock; a follower that never acknowledged a write has infinity there.

    :param formed_s: when the request that brought the write was formed.
    :param sent_s: when it was sent, after its delay.
    :param acknowledged_s: when the acknowledgement had been read.
    """

    formed_s: Floats
    sent_s: Floats
    acknowledged_s: Floats

    @classmethod
    def of(
        cls,
        exchanges: Sequence[Exchange],
        followers: Sequence[str],
        versions: NDArray[np.int64],
    ) -> "Waits":
        """Look up the writes of a run.

        :param exchanges: at least those that brought these writes.
        :param followers: addresses of all followers; one may have had no exchange.
        :param versions: of the run's writes; the rows are in their ascending order.
        """
        columns = {address: column for column, address in enumerate(followers)}
        versions = np.sort(versions)
        shape = (len(versions), len(columns))
        formed, sent, acknowledged = (np.full(shape, np.inf) for _ in range(3))
        for each in exchanges:
            # An entry may come twice, after a lost answer: what counts is the first time.
            rows = slice(*np.searchsorted(versions, (each.first_index, each.last_index + 1)))
            column = columns[each.follower]
            new = np.isinf(acknowledged[rows, column])
            for times, time_s in (
                (formed, each.formed_s),
                (sent, each.sent_s),
                (acknowledged, each.acknowledged_s),
            ):
                times[rows, column][new] = time_s
        return cls(formed, sent, acknowledged)

    @property
    def complete(self) -> NDArray[np.bool_]:
        """Which writes every follower has acknowledged, as far as the record reaches."""
        return np.asarray(np.isfinite(self.acknowledged_s).all(axis=1))

    def kth_delay_ms(self) -> list[float]:
        """The mean of the k-th smallest delay that really happened, for k from 1, in milliseconds.

        :return: empty when no write is complete.
        """
        rows = self.complete
        happened = self.sent_s[rows] - self.formed_s[rows]
        if len(happened) == 0:
            return []
        return [float(each) for each in 1000 * np.sort(happened, axis=1).mean(axis=0)]

    def parts_ms(self, write_quorum: int) -> "Parts | None":
        """Where the time goes, at the follower whose acknowledgement confirmed the write; means.

        :param write_quorum: at least 1.
        :return: None when no write is complete.
        """
        rows = np.flatnonzero(self.complete)
        if len(rows) == 0:
            return None
        order = np.argsort(self.acknowledged_s[rows], axis=1)
        decisive = order[:, write_quorum - 1]
        began_s = self.formed_s[rows].min(axis=1)
        formed_s = self.formed_s[rows, decisive]
        sent_s = self.sent_s[rows, decisive]
        acknowledged_s = self.acknowledged_s[rows, decisive]

        def mean_ms(seconds: Floats) -> float:
            return float(1000 * seconds.mean())

        return Parts(
            queue_ms=mean_ms(formed_s - began_s),
            delay_ms=mean_ms(sent_s - formed_s),
            exchange_ms=mean_ms(acknowledged_s - sent_s),
        )

    def copies(self, write_quorum: int) -> "Copies | None":
        """How many followers hold a write once it is confirmed, and how soon more do.

        :param write_quorum: 0 = a write counts as confirmed when its first request is formed.
        :return: None when no write is complete.
        """
        acknowledged = np.sort(self.acknowledged_s[self.complete], axis=1)
        if len(acknowledged) == 0:
            return None
        followers = acknowledged.shape[1]
        if write_quorum > 0:
            confirmed_s = acknowledged[:, write_quorum - 1]
        else:
            confirmed_s = self.formed_s[self.complete].min(axis=1)
        held = []
        for later_ms in LATER_MS:
            seen = acknowledged <= (confirmed_s + later_ms / 1000)[:, None]
            held.append(float(seen.sum(axis=1).mean()))
        if write_quorum >= followers:
            return Copies(tuple(held), 0.0, 0)
        next_s = acknowledged[:, write_quorum]
        return Copies(
            tuple(held),
            float(1000 * (next_s - confirmed_s).mean()),
            _most_at_once(confirmed_s, next_s),
        )


@dataclass(frozen=True)
class Parts:
    """Where a write spends its time between the first request formed for it and the acknowledgement
    that confirms it; means in milliseconds.

    :param queue_ms: until the decisive follower's request was formed, because its last one was
        still on its way.
    :param delay_ms: the simulated delay of that request.
    :param exchange_ms: from sending it to having read its acknowledgement.
    """

    queue_ms: float
    delay_ms: float
    exchange_ms: float


@dataclass(frozen=True)
class Copies:
    """How many followers hold a confirmed write.

    :param held: mean number of followers known to hold it, after each of :data:`LATER_MS`.
    :param alone_ms: mean time until one follower more than W held it, in milliseconds.
    :param most_at_risk: the most confirmed writes that no more than W followers held at one moment:
        what is gone if the leader's machine and those W are.
    """

    held: tuple[float, ...]
    alone_ms: float
    most_at_risk: int


def _most_at_once(begin_s: Floats, end_s: Floats) -> int:
    """The largest number of intervals that overlap."""
    lasting = begin_s < end_s
    times = np.concatenate([begin_s[lasting], end_s[lasting]])
    steps = np.concatenate([np.ones(lasting.sum()), -np.ones(lasting.sum())])
    # Where one ends and another begins at the same time, the end comes first.
    order = np.lexsort((steps, times))
    return int(np.cumsum(steps[order]).max(initial=0))


@dataclass(frozen=True)
class Lateness:
    """By how much the delays became longer than they were drawn; means in milliseconds.

    :param share: of the delays that ended close behind the sending of another request.
    :param close_ms: of these.
    :param alone_ms: of the others.
    """

    share: float
    close_ms: float
    alone_ms: float


def lateness_of(exchanges: Sequence[Exchange]) -> Lateness | None:
    """Whether delays last longer because the leader is still busy with another request.

    :param exchanges: of a whole run.
    :return: None unless some delays ended close behind another request, and some did not.
    """
    due_s = np.array([each.formed_s + each.drawn_ms / 1000 for each in exchanges])
    sent_s = np.array([each.sent_s for each in exchanges])
    order = np.argsort(due_s)  # by nothing that depends on how late they were
    due_s, sent_s = due_s[order], sent_s[order]
    late_ms = 1000 * (sent_s - due_s)[1:]
    close = due_s[1:] - sent_s[:-1] < NEAR_MS / 1000
    if close.all() or not close.any():
        return None
    return Lateness(
        share=float(close.mean()),
        close_ms=float(late_ms[close].mean()),
        alone_ms=float(late_ms[~close].mean()),
    )


def predict_busy_streams(exchanges: Sequence[Exchange], samples: int, seed: int) -> list[float]:
    """What waiting for k followers costs a write that comes at a random moment, for k from 1.

    The streams to the followers are busy as recorded, and know nothing of each other.

    For each follower the write waits for the rest of the request before, and then for its own
    request: until the acknowledgement of the first request that is formed after its arrival.

    :param exchanges: of the whole run.
    :param samples: number of simulated writes.
    :return: means in milliseconds; empty when a follower has too few exchanges.
    """
    random = np.random.default_rng(seed)
    waits = []
    for follower in sorted({each.follower for each in exchanges}):
        own = [each for each in exchanges if each.follower == follower]
        formed = np.array([each.formed_s for each in own])
        acknowledged = np.array([each.acknowledged_s for each in own])
        if len(own) < 10:
            return []
        arrivals = random.uniform(formed[0], formed[-1], samples)
        waits.append(acknowledged[np.searchsorted(formed, arrivals)] - arrivals)
    return [float(each) for each in 1000 * np.sort(np.array(waits), axis=0).mean(axis=1)]
