"""The log of a load's requests, and Locust's totals as a second opinion on it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.nodes.errors import RequestLogError, TotalsError
from analysis.study.locust_totals import LocustTotals, read_locust_totals, why_disagreeing
from analysis.study.request_log import COLUMNS, RequestLog, RequestLogWriter, read_request_log

HEADER = ",".join(COLUMNS) + "\n"
GOOD = "1700000000.0,7.0,a,1,\n1700000000.1,1.0,b,2,\n"


def logged(*latency_ms: float) -> RequestLog:
    """Confirmed writes, sent one every 0.1 s."""
    count = len(latency_ms)
    keys, versions = ("a",) * count, np.arange(1, count + 1)
    return RequestLog(np.arange(count) / 10, np.array(latency_ms), keys, versions, {})


def read(folder: Path, text: str) -> RequestLog:
    (folder / "requests.csv").write_text(text, encoding="utf-8")
    return read_request_log(folder / "requests.csv")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    with RequestLogWriter(tmp_path / "requests.csv") as log:
        log.add(1700000000.25, 1.5, 'a "key",\n', 7, None)
        log.add(1700000000.50, 2.5, "b", None, "late, or lost")
    found = read_request_log(tmp_path / "requests.csv")
    assert found.started_s.tolist() == [1700000000.25]
    assert found.latency_ms.tolist() == [1.5]
    assert found.keys == ('a "key",\n',)
    assert found.versions.tolist() == [7]
    assert found.failures == {"late, or lost": 1}


def test_the_log_can_be_watched_while_it_grows(tmp_path: Path) -> None:
    with RequestLogWriter(tmp_path / "requests.csv") as log:
        for number in range(20):
            log.add(1.0, 1.0, "a", number + 1, None)
        assert (tmp_path / "requests.csv").read_text(encoding="utf-8").count("\n") == 21


def test_writes_are_in_the_order_of_their_answers(tmp_path: Path) -> None:
    log = read(tmp_path, f"{HEADER}1.0,9000,a,4,\n4.0,1000,a,2,\n2.0,500,b,1,\n")
    assert log.versions.tolist() == [1, 2, 4]
    assert log.keys == ("b", "a", "a")


def test_failures_are_counted_by_reason_and_are_no_measurements(tmp_path: Path) -> None:
    failed = "1700000000.3,2000.5,a,,"
    log = read(tmp_path, f"{HEADER}{GOOD}{failed}late\n{failed}late\n{failed}lost\n")
    assert log.failures == {"late": 2, "lost": 1}
    assert log.failed == 3
    assert sorted(log.latency_ms) == [1.0, 7.0]
    assert len(read(tmp_path, f"{HEADER}{failed}late\n").latency_ms) == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no requests"),
        (HEADER, "no requests"),
        (HEADER + GOOD + "17.0,soon,a,3,\n", "at line 4: .*soon"),
        (HEADER + GOOD + "17.0,-1.0,a,3,\n", "at line 4: -1.0 is not"),
        (HEADER + GOOD + "17.0,nan,a,3,\n", "at line 4: nan is not"),
        (HEADER + GOOD + "17.0,3.0,a,,\n", "at line 4: invalid literal"),
        (HEADER + GOOD + "17.0,3.0,a", "at line 4: no failure"),
        (HEADER + GOOD + "17.0\n", "at line 4: no latency_ms"),
        ("started_s,failure\n1700000000.0,\n", "at line 2: no latency_ms"),
    ],
)
def test_unusable_logs_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    with pytest.raises(RequestLogError, match=reason):
        read(tmp_path, text)
    with pytest.raises(RequestLogError, match="cannot read"):
        read_request_log(tmp_path / "missing")


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
