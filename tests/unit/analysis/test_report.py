from dataclasses import replace

import pytest

from analysis.report.report import render_failure, render_report
from analysis.report.wording import describe_curve
from analysis.study.settings import StudySettings
from tests.unit.analysis.sample import MEANS_MS, SETTINGS, quorum, study


def test_the_report_names_what_a_reader_needs_to_repeat_it() -> None:
    report = render_report(study(), "quorum_latency.png")
    for fact in (
        "**Check passed.**",
        "](quorum_latency.png)",
        "| 1 | 4.00 | 0.10 | 3.75 | 8.00 | 12.00 |",
        "0.1 to 1 ms per replication request",
        "10,000 writes over 100 keys from 6 simultaneous clients",
        "(W=3, W=1, W=5, W=2, W=4)",
        "| seed | 42 |",
        "Test Processor, 2 cores, 4.0 GiB",
        "locust 2.47.0",
        "abc1234+",
        "127.0.0.1:10004",
        "| `p99_ms` | ms |",
    ):
        assert fact in report
    assert "Check failed" not in report


def test_the_report_of_a_failed_check_says_so_and_lists_every_problem() -> None:
    damaged = quorum(3, None, problems=("http://f: missing keys: 1 (a)", "1 failed writes: lost"))
    report = render_report(replace(study(), quorums=(damaged,), order=(3, 1)), None)
    assert "**Check failed.**" in report
    assert "- W=3: http://f: missing keys: 1 (a)" in report
    assert "- W=3: 1 failed writes: lost" in report
    assert "- W=1: not measured" in report
    assert "Check passed" not in report
    assert "![" not in report


def test_a_curve_that_falls_is_called_not_monotonic() -> None:
    report = render_report(study(MEANS_MS | {3: 4.25}), "p.png")
    assert (
        "**The curve is not monotonic:** the average does not rise from W=2 (4.50 ms) to "
        "W=3 (4.25 ms)." in report
    )


def test_a_rising_curve_is_called_rising() -> None:
    assert describe_curve(study()) == (
        "The average rises with every write quorum. "
        "No two neighbouring 95 % confidence intervals overlap."
    )


def test_a_step_that_may_be_noise_is_called_so() -> None:
    assert "overlap for W=3 and W=4: that step may be noise" in describe_curve(
        study(MEANS_MS | {2: 4.25, 3: 4.75, 4: 4.9})
    )


def test_one_quorum_is_no_curve() -> None:
    assert "no curve" in describe_curve(study({2: 4.0}))


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (SETTINGS, "share the processor of one machine"),
        (
            replace(SETTINGS, leader_url="http://l:1", follower_urls=("http://f:1",)),
            "cluster that was running already",
        ),
    ],
)
def test_the_report_says_where_the_load_ran(settings: StudySettings, place: str) -> None:
    assert place in render_report(replace(study(), settings=settings), "p.png")


def test_an_unknown_delay_is_not_made_up() -> None:
    settings = replace(SETTINGS, delay_ms=None)
    assert "as the cluster was set" in render_report(replace(study(), settings=settings), "p.png")


def test_a_study_that_could_not_begin_is_reported_as_failed() -> None:
    report = render_failure(SETTINGS, "follower2 exited")
    assert "**Check failed: nothing was measured**" in report
    assert "follower2 exited" in report
