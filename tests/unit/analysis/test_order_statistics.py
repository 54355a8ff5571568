import numpy as np
import pytest

from analysis.report.order_statistics import mean_kth_smallest


def test_five_delays_from_a_tenth_to_one_millisecond() -> None:
    means = [mean_kth_smallest(k, 5, 0.1, 1.0) for k in range(6)]
    assert means == pytest.approx([0.0, 0.25, 0.40, 0.55, 0.70, 0.85])


def test_the_formula_agrees_with_a_simulation() -> None:
    draws = np.sort(np.random.default_rng(1).uniform(2.0, 6.0, size=(200_000, 3)))
    expected = [mean_kth_smallest(k, 3, 2.0, 6.0) for k in (1, 2, 3)]
    assert draws.mean(axis=0) == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("k", [-1, 6])
def test_there_is_no_sixth_of_five(k: int) -> None:
    with pytest.raises(ValueError, match="smallest of 5"):
        mean_kth_smallest(k, 5, 0.1, 1.0)
