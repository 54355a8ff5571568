"""Intervals and theory, on data whose answers are known."""

import numpy as np
import pytest

from analysis.study.statistics import (
    Interval,
    law_of_delays,
    mean_interval,
    percentile,
    ratio_interval,
)


def test_one_repeat_has_a_mean_and_no_interval() -> None:
    assert mean_interval([3.0]) == Interval(3.0, None, None)
    assert not mean_interval([3.0]).is_positive
    assert ratio_interval([2.0], [4.0, 4.0]) == Interval(0.5, None, None)


def test_an_interval_lies_around_the_mean_and_within_the_figures() -> None:
    interval = mean_interval([1.0, 2.0, 3.0, 4.0, 10.0])
    assert interval.low is not None
    assert interval.high is not None
    assert interval.mean == 4.0
    assert 1.0 <= interval.low < 4.0 < interval.high <= 10.0
    assert interval == mean_interval([1.0, 2.0, 3.0, 4.0, 10.0]), "the same again"
    assert mean_interval([2.0, 2.0, 2.0]) == Interval(2.0, 2.0, 2.0)


def test_signs_need_the_whole_interval() -> None:
    assert mean_interval([2.0, 2.5, 3.0]).is_positive
    assert mean_interval([-2.0, -2.5, -3.0]).is_negative
    mixed = mean_interval([-1.0, 2.0, 3.0])
    assert not mixed.is_positive
    assert not mixed.is_negative


@pytest.mark.parametrize(
    ("repeats", "least", "most"),
    [(2, 0.93, 0.97), (3, 0.93, 0.97), (5, 0.91, 0.96), (30, 0.93, 0.97)],
)
def test_how_often_the_interval_holds_the_true_mean(
    repeats: int, least: float, most: float
) -> None:
    """It is a 95 % interval, nearly so even with few repeats."""
    draws = np.random.default_rng(1).normal(5.0, 1.0, size=(400, repeats))
    intervals = [mean_interval(list(each)) for each in draws]
    held = sum((each.low or 0) <= 5.0 <= (each.high or 0) for each in intervals)
    assert least <= held / len(draws) <= most


def test_a_ratio_of_means() -> None:
    ratio = ratio_interval([2.0, 4.0, 3.0, 3.0, 3.0], [1.0] * 5)
    assert ratio.mean == 3.0
    assert ratio.low is not None
    assert ratio.high is not None
    assert 2.0 <= ratio.low < 3.0 < ratio.high <= 4.0
    few = ratio_interval([2.0, 4.0], [1.0, 1.0])
    assert (few.low or 0) < ratio.low < ratio.high < (few.high or 0)
    assert ratio_interval([2.0, 2.0], [1.0, 1.0]) == Interval(2.0, 2.0, 2.0)


def test_percentiles_are_measured_values_of_the_nearest_rank() -> None:
    hundred = np.arange(1.0, 101.0)
    assert [percentile(hundred, p) for p in (50, 95, 99)] == [50, 95, 99]
    assert percentile(np.array([3.5]), 99) == 3.5


def test_the_law_of_order_statistics() -> None:
    assert law_of_delays(0.1, 1.0, 5) == pytest.approx([0.25, 0.40, 0.55, 0.70, 0.85])
    drawn = np.sort(np.random.default_rng(1).uniform(0.1, 1.0, size=(100_000, 5)), axis=1)
    assert drawn.mean(axis=0) == pytest.approx(law_of_delays(0.1, 1.0, 5), rel=0.01)
