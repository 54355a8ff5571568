"""How old a read was, judged by what had been confirmed before it began."""

from pathlib import Path

import numpy as np
import pytest

from analysis.study.request_log import RequestLog
from analysis.study.stale_reads import Read, judge_reads, load_reads, save_reads

# Versions 1, 3 and 4 of "a", confirmed at 1.0, 2.0 and 3.0; version 2 of "b", confirmed at 1.5.
# The load lasted from 0.5 to 4.0.
LOG = RequestLog(
    started_s=np.array([0.5, 1.0, 1.0, 1.0, 3.0]),
    latency_ms=np.array([500.0, 500.0, 1000.0, 2000.0, 1000.0]),
    keys=("a", "b", "a", "a", "z"),
    versions=np.array([1, 2, 3, 4, 5]),
    failures={},
)


@pytest.mark.parametrize(
    ("started_s", "key", "version", "versions_behind", "behind_ms"),
    [
        (0.9, "a", 0, (), ()),  # nothing was confirmed yet
        (1.1, "a", 1, (), ()),
        (1.1, "a", 4, (), ()),  # not confirmed yet, but already there
        (1.1, "a", 0, (1,), (100,)),
        (2.5, "a", 1, (1,), (500,)),
        (3.5, "a", 1, (2,), (1500,)),  # it lacks two; the first was confirmed at 2.0
        (3.5, "b", 2, (), ()),
        (3.5, "c", 0, (), ()),  # nobody writes this one
    ],
)
def test_reads_are_stale_if_a_newer_version_was_confirmed_before(
    started_s: float,
    key: str,
    version: int,
    versions_behind: tuple[int, ...],
    behind_ms: tuple[float, ...],
) -> None:
    staleness = judge_reads([Read(started_s, "f", key, version)], LOG)
    assert staleness.reads == 1
    assert staleness.stale == len(versions_behind)
    assert staleness.versions_behind == versions_behind
    assert staleness.behind_ms == pytest.approx(behind_ms)


def test_only_reads_during_the_load_count() -> None:
    assert judge_reads([Read(0.4, "f", "a", 0), Read(4.1, "f", "a", 0)], LOG).reads == 0


def test_reads_are_saved_and_loaded(tmp_path: Path) -> None:
    reads = [Read(1700000000.25, "http://f:1", "a,b", 7), Read(1700000000.5, "http://f:1", "c", 0)]
    save_reads(reads, tmp_path / "reads.csv")
    assert load_reads(tmp_path / "reads.csv") == reads
    assert load_reads(tmp_path / "none.csv") == []
