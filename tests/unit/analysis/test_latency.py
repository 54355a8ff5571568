import math
from pathlib import Path

import numpy as np
import pytest

from analysis.study.latency import (
    BATCHES,
    RequestLogError,
    mean_ci95,
    percentile,
    read_request_log,
    summarise,
)

ONE_TO_TEN = [float(value) for value in range(1, 11)]


@pytest.mark.parametrize(
    ("percent", "expected"),
    # Nearest rank of ten values: rank ceil(p / 10), by hand.
    [(1, 1.0), (10, 1.0), (10.1, 2.0), (50, 5.0), (51, 6.0), (90, 9.0), (95, 10.0), (100, 10.0)],
)
def test_percentile_is_the_nearest_rank(percent: float, expected: float) -> None:
    assert percentile(ONE_TO_TEN, percent) == expected


def test_percentile_of_one_value_is_that_value() -> None:
    assert [percentile([3.5], percent) for percent in (1, 50, 99, 100)] == [3.5] * 4


def test_percentile_99_of_a_hundred_leaves_one_value_above() -> None:
    assert percentile([float(value) for value in range(1, 101)], 99) == 99.0


@pytest.mark.parametrize(("values", "percent"), [([], 50), ([1.0], 0), ([1.0], 101)])
def test_percentile_refuses_what_has_none(values: list[float], percent: float) -> None:
    with pytest.raises(ValueError, match=r"no values|no percentile"):
        percentile(values, percent)


def test_summary_of_ten_writes(fixtures: Path) -> None:
    summary = summarise(read_request_log(fixtures / "ten_writes.csv"))
    assert summary is not None
    assert summary.writes == 10
    assert summary.mean_ms == pytest.approx(5.5)
    assert (summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.max_ms) == (5, 10, 10, 10)
    # Sent at 0.0 to 0.9 s; the last answer is that of the last write, which took 6 ms.
    assert summary.duration_s == pytest.approx(0.906, abs=1e-6)
    assert summary.throughput_per_s == pytest.approx(10 / 0.906, rel=1e-5)
    assert summary.mean_ci95_ms is None


def test_failures_are_counted_by_reason_and_are_no_measurements(fixtures: Path) -> None:
    log = read_request_log(fixtures / "with_failures.csv")
    assert log.failures == {
        "HTTP 504: quorum not reached": 2,
        "no answer: the outcome is open": 1,
    }
    assert log.failed == 3
    assert list(log.response_ms) == [7.0, 1.0, 10.0]
    summary = summarise(log)
    assert summary is not None
    assert summary.max_ms == 10.0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no_rows.csv", "no requests"),
        ("damaged_time.csv", "damaged at line 4.*soon"),
        ("cut_off_after_the_time.csv", "damaged at line 4: the row is cut off"),
        ("cut_off_row.csv", "damaged at line 4: the row is cut off"),
        ("negative_time.csv", "damaged at line 4.*not a time"),
        ("no_time_column.csv", "no column response_time_ms"),
        ("not_there.csv", "cannot read"),
    ],
)
def test_unusable_logs_are_refused(fixtures: Path, name: str, reason: str) -> None:
    with pytest.raises(RequestLogError, match=reason):
        read_request_log(fixtures / name)


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()
    with pytest.raises(RequestLogError, match="no column"):
        read_request_log(tmp_path / "empty.csv")


def test_only_failures_have_no_summary(tmp_path: Path) -> None:
    path = tmp_path / "failed.csv"
    path.write_text("timestamp,response_time_ms,exception\n1.0,5.0,refused\n", encoding="utf-8")
    assert summarise(read_request_log(path)) is None


def test_confidence_interval_of_batch_means() -> None:
    # Twenty batches of ten equal values, whose means are 1 to 20: standard deviation sqrt(35).
    values = np.repeat(np.arange(1.0, BATCHES + 1), 10)
    assert mean_ci95(values) == pytest.approx(2.093 * math.sqrt(35) / math.sqrt(20))


def test_confidence_interval_needs_ten_values_for_each_batch() -> None:
    assert mean_ci95(np.ones(10 * BATCHES)) == 0.0
    assert mean_ci95(np.ones(10 * BATCHES - 1)) is None


def test_confidence_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    draws = np.random.default_rng(1).exponential(5.0, size=(1_000, 1_000))
    covered = sum(abs(run.mean() - 5.0) <= (mean_ci95(run) or 0.0) for run in draws)
    assert 930 <= covered <= 970
