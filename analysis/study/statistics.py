"""Means over repeats and their confidence, and what theory says."""

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

RESAMPLES = 10_000
FEWEST_RESAMPLED = 5
_STUDENT_T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365}
"""Two-sided quantiles by the number of values; above, an approximation is close enough."""
_SEED = 1  # the same figures give the same interval

Floats = NDArray[np.float64]


class Interval(Struct, frozen=True):
    """A mean with its 95 % confidence interval; both ends None = too few repeats to tell."""

    mean: float
    low: float | None
    high: float | None

    @property
    def is_positive(self) -> bool:
        """Whether all of the interval lies above zero."""
        return self.low is not None and self.low > 0

    @property
    def is_negative(self) -> bool:
        """Whether all of it lies below zero."""
        return self.high is not None and self.high < 0

    def times(self, factor: float) -> "Interval":
        """The interval of as many times the mean."""
        if self.low is None or self.high is None:
            return Interval(factor * self.mean, None, None)
        low, high = sorted((factor * self.low, factor * self.high))
        return Interval(factor * self.mean, low, high)


def mean_interval(repeats: Sequence[float]) -> Interval:
    """The mean over repeats, with an expanded percentile bootstrap interval over the repeats.

    The repeats are what is independent; single writes are not. The plain percentile interval is too
    narrow with few of them; this one takes percentiles further out, as Student's t does (Hesterberg
    2015, "What Teachers Should Know About the Bootstrap", section 3.3). Below five repeats even the
    whole range of the resampled means holds the truth too seldom (two repeats: in half of all
    cases), so the interval is Student's own there.

    :param repeats: one figure for each repeat, at least one.
    """
    values = np.asarray(repeats, dtype=float)
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, None, None)
    if len(values) < FEWEST_RESAMPLED:
        half = _student_t(len(values)) * _standard_error(values)
        return Interval(mean, mean - half, mean + half)
    chosen = np.random.default_rng(_SEED).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[chosen].mean(axis=1), _percentiles(len(values)))
    return Interval(mean, float(low), float(high))


def ratio_interval(numerators: Sequence[float], denominators: Sequence[float]) -> Interval:
    """The ratio of two positive means, with an interval as :func:`mean_interval` makes it; both are
    resampled, and below five repeats Student's interval is that of the ratio's logarithm.

    :param numerators: one figure for each repeat of one study.
    :param denominators: the same of the other.
    """
    both = tuple(np.asarray(each, dtype=float) for each in (numerators, denominators))
    ratio = float(both[0].mean() / both[1].mean())
    fewest = min(map(len, both))
    if fewest < 2:
        return Interval(ratio, None, None)
    if fewest < FEWEST_RESAMPLED:
        relative = [_standard_error(each) / float(each.mean()) for each in both]
        factor = math.exp(_student_t(fewest) * math.hypot(*relative))
        return Interval(ratio, ratio / factor, ratio * factor)
    random = np.random.default_rng(_SEED)
    means = [
        each[random.integers(len(each), size=(RESAMPLES, len(each)))].mean(axis=1) for each in both
    ]
    low, high = np.percentile(means[0] / means[1], _percentiles(fewest))
    return Interval(ratio, float(low), float(high))


def _standard_error(values: Floats) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values)))


def _student_t(repeats: int) -> float:
    return _STUDENT_T_95.get(repeats, 1.96 + 2.4 / (repeats - 1))


def _percentiles(repeats: int) -> tuple[float, float]:
    """Which percentiles of the resampled means are the ends of a 95 % interval."""
    quantile = math.sqrt(repeats / (repeats - 1)) * _student_t(repeats)
    outside = 100 * NormalDist().cdf(-quantile)
    return outside, 100 - outside


def percentile(values: Floats, percent: float) -> float:
    """The nearest-rank percentile: a measured value, nothing is interpolated."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


def law_of_delays(low_ms: float, high_ms: float, followers: int) -> list[float]:
    """What waiting for k followers costs, for k from 1: the mean of the k-th smallest of as many
    uniform delays as there are followers, ``low + (high - low) * k / (followers + 1)``.

    (David and Nagaraja, *Order Statistics*, section 2.)

    :return: milliseconds, for k = 1 … followers.
    """
    step = (high_ms - low_ms) / (followers + 1)
    return [low_ms + step * k for k in range(1, followers + 1)]
