"""The figures of a load: from the log of its requests, and Locust's totals as a second opinion."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.nodes.errors import RequestLogError, TotalsError
from analysis.study.latency import (
    BATCHES,
    LatencySummary,
    RequestLog,
    mean_ci95,
    read_request_log,
    summarise,
)
from analysis.study.locust_totals import LocustTotals, read_locust_totals, why_disagreeing

HEADER = "timestamp,request_type,name,response_time_ms,response_length,status_code,exception\n"
GOOD = "1700000000.0,POST,/put/[key],7.0,60,200,\n1700000000.1,POST,/put/[key],1.0,60,200,\n"


def logged(*response_ms: float) -> RequestLog:
    """Confirmed writes, sent one every 0.1 s."""
    return RequestLog(np.arange(len(response_ms)) / 10, np.array(response_ms), {})


def figures(*response_ms: float) -> LatencySummary:
    summary = summarise(logged(*response_ms))
    assert summary is not None
    return summary


def read(folder: Path, text: str) -> RequestLog:
    (folder / "requests.csv").write_text(text, encoding="utf-8")
    return read_request_log(folder / "requests.csv")


def test_the_figures_of_ten_writes() -> None:
    summary = figures(7, 1, 10, 4, 2, 9, 3, 8, 5, 6)
    assert (summary.writes, summary.mean_ms) == (10, 5.5)
    assert (summary.p50_ms, summary.p95_ms, summary.p99_ms, summary.max_ms) == (5, 10, 10, 10)
    # Sent at 0.0 to 0.9 s; the last answer is that of the last write, which took 6 ms.
    assert summary.duration_s == pytest.approx(0.906, abs=1e-6)
    assert summary.throughput_per_s == pytest.approx(10 / 0.906, rel=1e-5)
    assert summary.mean_ci95_ms is None


def test_percentiles_are_measured_values_of_the_nearest_rank() -> None:
    assert figures(3.5).p50_ms == figures(3.5).p99_ms == 3.5
    of_a_hundred = figures(*range(100, 0, -1))
    assert (of_a_hundred.p50_ms, of_a_hundred.p95_ms, of_a_hundred.p99_ms) == (50, 95, 99)
    assert figures(*range(1, 102)).p99_ms == 100


def test_failures_are_counted_by_reason_and_are_no_measurements(tmp_path: Path) -> None:
    failed = "1700000000.3,POST,/put/[key],2000.5,40,504,"
    log = read(tmp_path, f"{HEADER}{GOOD}{failed}late\n{failed}late\n{failed}lost\n")
    assert log.failures == {"late": 2, "lost": 1}
    assert log.failed == 3
    assert list(log.response_ms) == [7.0, 1.0]
    assert summarise(read(tmp_path, f"{HEADER}{failed}late\n")) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no requests"),
        (HEADER, "no requests"),
        (HEADER + GOOD + "17.0,POST,/put/[key],soon,60,200,\n", "at line 4: .*soon"),
        (HEADER + GOOD + "17.0,POST,/put/[key],-1.0,60,200,\n", "at line 4: -1.0 is not"),
        (HEADER + GOOD + "17.0,POST,/put/[key],nan,60,200,\n", "at line 4: nan is not"),
        (HEADER + GOOD + "17.0,POST,/put/[key],3.0", "at line 4: no exception"),
        (HEADER + GOOD + "17.0,POST,/pu\n", "at line 4: no response_time_ms"),
        ("timestamp,exception\n1700000000.0,\n", "at line 2: no response_time_ms"),
    ],
)
def test_unusable_logs_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RequestLogError, match=reason):
        read(tmp_path, text)
    with pytest.raises(RequestLogError, match="cannot read"):
        read_request_log(tmp_path / "missing")


def test_confidence_interval_of_batch_means() -> None:
    # Twenty batches of ten equal values, whose means are 1 to 20: standard deviation sqrt(35).
    values = np.repeat(np.arange(1.0, BATCHES + 1), 10)
    assert mean_ci95(values) == pytest.approx(2.093 * math.sqrt(35) / math.sqrt(20))
    assert mean_ci95(values[:-1]) is None, "below ten values for each batch"


def test_confidence_interval_covers_the_true_mean_about_95_times_in_100() -> None:
    draws = np.random.default_rng(1).exponential(5.0, size=(1_000, 1_000))
    covered = sum(abs(run.mean() - 5.0) <= (mean_ci95(run) or 0.0) for run in draws)
    assert 930 <= covered <= 970


TOTALS = LocustTotals(requests=4, failures=0, average_ms=2.5)


def totals_of(folder: Path, text: str) -> LocustTotals:
    (folder / "stats.csv").write_text(text, encoding="utf-8")
    return read_locust_totals(folder / "stats.csv")


def test_totals_are_read_from_the_row_of_all_requests(tmp_path: Path) -> None:
    columns = "Type,Name,Request Count,Failure Count,Average Response Time\n"
    rows = "POST,/put/[key],3,0,2.0\n,Aggregated,4,0,2.5\n"
    assert totals_of(tmp_path, columns + rows) == TOTALS


@pytest.mark.parametrize("text", ["", "Name,Request Count\n/put/[key],10\n", HEADER + GOOD])
def test_other_files_have_no_totals(tmp_path: Path, text: str) -> None:
    with pytest.raises(TotalsError):
        totals_of(tmp_path, text)


@pytest.mark.parametrize(
    ("change", "agrees"),
    [({}, True), ({"requests": 5}, False), ({"failures": 1}, False), ({"average_ms": 2.52}, False)],
)
def test_every_disagreement_with_the_log_is_found(change: dict[str, Any], agrees: bool) -> None:
    assert (why_disagreeing(replace(TOTALS, **change), logged(1, 2, 3, 4)) is None) is agrees
