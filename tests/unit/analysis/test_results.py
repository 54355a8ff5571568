from dataclasses import replace

import pytest

from tests.unit.analysis.sample import MEANS_MS, follower, quorum, study


def test_a_study_without_problems_has_passed() -> None:
    assert study().passed
    assert study().problems == ()


def test_one_problem_of_one_quorum_fails_the_study() -> None:
    damaged = quorum(3, None, problems=("a copy differs",))
    result = replace(study(), quorums=(*study().quorums[:2], damaged, *study().quorums[3:]))
    assert not result.passed
    assert result.problems == ("W=3: a copy differs",)


def test_a_quorum_that_was_not_measured_fails_the_study() -> None:
    result = replace(study(), quorums=study().quorums[:-1])
    assert not result.passed
    assert result.problems == ("W=5: not measured",)


def test_a_quorum_is_equal_only_with_all_its_copies() -> None:
    whole = quorum(1, None)
    assert whole.copies_equal
    assert not replace(whole, followers=(*whole.followers, follower(5, "differs"))).copies_equal


def test_the_last_follower_decides_lag_and_convergence() -> None:
    assert quorum(1, None).max_lag_entries == 4
    assert quorum(1, None).converged_after_s == pytest.approx(0.008)


def test_one_unknown_follower_makes_lag_and_convergence_unknown() -> None:
    unknown = replace(follower(5), lag_entries=None, caught_up_after_s=None)
    result = replace(quorum(1, None), followers=(follower(0), unknown))
    assert result.max_lag_entries is None
    assert result.converged_after_s is None


def test_a_rising_curve_has_no_falls() -> None:
    assert study().falls == ()
    assert study().unclear_steps == ()


def test_falls_and_standstills_are_found() -> None:
    assert study(MEANS_MS | {3: 4.4, 5: 5.5}).falls == ((2, 3), (4, 5))


def test_a_step_within_the_confidence_intervals_is_unclear() -> None:
    assert study(ci95_ms=0.24).unclear_steps == ()
    assert study(ci95_ms=0.26).unclear_steps == ((1, 2), (2, 3), (3, 4))


def test_without_confidence_intervals_every_step_is_unclear() -> None:
    assert len(study(ci95_ms=None).unclear_steps) == 4


def test_a_quorum_without_figures_is_not_on_the_curve() -> None:
    result = replace(study(), quorums=(quorum(0, None), *study().quorums))
    assert [write_quorum for write_quorum, _ in result.curve] == [1, 2, 3, 4, 5]
