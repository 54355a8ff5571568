from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.study.latency import read_request_log
from analysis.study.locust_totals import (
    LocustTotals,
    TotalsError,
    read_locust_totals,
    why_disagreeing,
)


def test_totals_are_read_from_the_row_of_all_requests(fixtures: Path) -> None:
    assert read_locust_totals(fixtures / "totals_of_ten_writes.csv") == LocustTotals(10, 0, 5.5)


@pytest.mark.parametrize(
    "name", ["totals_without_sum.csv", "ten_writes.csv", "no_rows.csv", "not_there.csv"]
)
def test_other_files_are_refused(fixtures: Path, name: str) -> None:
    with pytest.raises(TotalsError):
        read_locust_totals(fixtures / name)


def test_totals_agree_with_their_log(fixtures: Path) -> None:
    totals = read_locust_totals(fixtures / "totals_of_ten_writes.csv")
    assert why_disagreeing(totals, read_request_log(fixtures / "ten_writes.csv")) is None


@pytest.mark.parametrize(
    "change", [{"requests": 11}, {"failures": 1}, {"average_ms": 5.52}, {"requests": 0}]
)
def test_every_disagreement_is_found(fixtures: Path, change: dict[str, Any]) -> None:
    totals = replace(read_locust_totals(fixtures / "totals_of_ten_writes.csv"), **change)
    assert why_disagreeing(totals, read_request_log(fixtures / "ten_writes.csv")) is not None
