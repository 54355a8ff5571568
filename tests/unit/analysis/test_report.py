"""The verdict of a study, and its report."""

from dataclasses import replace

import pytest

from analysis.report.report import render_failure, render_report
from analysis.report.wording import describe_curve
from analysis.study.results import StudyResult
from tests.unit.analysis.sample import (
    MEANS_MS,
    SETTINGS,
    make_quorum,
    make_study,
)


def test_one_problem_of_one_quorum_or_a_missing_quorum_fails_the_study() -> None:
    assert make_study().passed
    good = make_study().quorums
    damaged = make_quorum(3, None, problems=("a copy differs",))
    result = replace(make_study(), quorums=(*good[:2], damaged, good[3]))
    assert not result.passed
    assert result.problems == ("W=3: a copy differs", "W=5: not measured")


def test_a_quorum_without_figures_is_not_on_the_curve() -> None:
    result = replace(make_study(), quorums=(make_quorum(0, None), *make_study().quorums))
    assert [write_quorum for write_quorum, _ in result.curve] == [1, 2, 3, 4, 5]


FALLING = make_study(MEANS_MS | {3: 4.25, 5: 5.5})


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (make_study(), "rises with every write quorum. No two neighbouring"),
        (
            FALLING,
            "**The curve is not monotonic:** the average does not rise from W=2 (4.50 ms) to",
        ),
        (FALLING, "to W=3 (4.25 ms), from W=4 (5.50 ms) to W=5 (5.50 ms)."),
        (make_study(ci95_ms=0.24), "No two neighbouring"),
        (make_study(ci95_ms=0.26), "overlap for W=1 and W=2, W=2 and W=3, W=3 and W=4: that step"),
        (make_study({1: 4.0, 2: 9.0}, ci95_ms=None), "overlap for W=1 and W=2"),
        (make_study({2: 4.0}), "no curve"),
    ],
)
def test_the_words_for_a_curve(result: StudyResult, words: str) -> None:
    assert words in describe_curve(result)
    assert describe_curve(result) in render_report(result, "p.png")


def test_the_report_names_what_a_reader_needs_to_repeat_it() -> None:
    report = render_report(make_study(), "quorum_latency.png")
    for fact in (
        "**Check passed.**",
        "](quorum_latency.png)",
        "| 1 | 4.00 | 0.10 | 3.75 | 8.00 | 12.00 |",
        "0.1 to 1 ms per replication request",
        "10,000 writes over 100 keys from 6 simultaneous clients",
        "share the processor of one machine",
        "(W=3, W=1, W=5, W=2, W=4)",
        "| seed | 42 |",
        "Test Processor, 2 cores, 4.0 GiB",
        "locust 2.47.0",
        "abc1234+",
        "127.0.0.1:10004",
        "| `p99_ms` | ms |",
        "| 1 | 800 µs | 400 µs |",
    ):
        assert fact in report
    assert "Check failed" not in report


def test_the_report_of_a_failed_check_says_so_and_lists_every_problem() -> None:
    damaged = make_quorum(3, None, problems=("http://f: missing keys: 1 (a)", "1 failed writes"))
    report = render_report(replace(make_study(), quorums=(damaged,), order=(3, 1)), None)
    for line in (
        "**Check failed.**",
        "- W=3: http://f: missing keys: 1 (a)",
        "- W=3: 1 failed writes",
        "- W=1: not measured",
    ):
        assert line in report
    assert "Check passed" not in report
    assert "![" not in report


def test_what_is_not_known_of_a_running_cluster_is_not_made_up() -> None:
    running = replace(
        SETTINGS, leader_url="http://l:1", follower_urls=("http://f:1",), delay_ms=None
    )
    report = render_report(replace(make_study(), settings=running), "p.png")
    assert "cluster that was running already" in report
    assert "as the cluster was set" in report


def test_a_study_that_could_not_begin_is_reported_as_failed() -> None:
    report = render_failure(SETTINGS, "follower2 exited")
    assert "**Check failed: nothing was measured**" in report
    assert "follower2 exited" in report
