"""The tables for the terminal, for the report, and as CSV."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.report.tables import (
    SUMMARY_COLUMNS,
    column_markdown,
    cpu_markdown,
    delay_markdown,
    figure_markdown,
    follower_markdown,
    text_table,
    write_summary,
)
from analysis.study.results import StudyResult
from tests.unit.analysis.sample import make_follower, make_latency, make_quorum, make_study


def test_the_terminal_table_has_one_aligned_row_for_each_quorum() -> None:
    header, rule, *rows = text_table(make_study()).splitlines()
    assert header.split("  ")[0].strip() == "W"
    assert set(rule) == {"-"}
    assert len(rows) == 5
    assert {len(line) for line in (header, rule, *rows)} == {len(header)}
    assert rows[0].split() == (
        ["1", "4.00", "0.10", "3.75", "8.00", "12.00", "36.0", "1,000", "4", "8.0", "ms", "equal"]
    )


def test_what_is_unknown_is_marked_and_unequal_copies_stand_out() -> None:
    unknown = replace(make_follower(1, "differs"), lag_entries=None, caught_up_after_s=None)
    damaged = replace(make_quorum(2, None), followers=(make_follower(0), unknown))
    row = text_table(replace(make_study(), quorums=(damaged,))).splitlines()[-1]
    assert row.count("?") == 9
    assert "NOT EQUAL" in row


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    result = make_study()
    for table, rows in (
        (figure_markdown(result), 5),
        (follower_markdown(result), 25),
        (delay_markdown(result), 5),
        (cpu_markdown(result), 5),
        (column_markdown(), len(SUMMARY_COLUMNS)),
    ):
        lines = table.splitlines()
        assert len(lines) == rows + 2
        assert len({line.count("|") for line in lines}) == 1
    damaged = replace(make_quorum(2, None), followers=(make_follower(0, "a|b"),))
    assert "a\\|b" in follower_markdown(replace(make_study(), quorums=(damaged,)))


def summary(result: StudyResult, folder: Path) -> list[dict[str, str]]:
    write_summary(result, folder / "summary.csv")
    with (folder / "summary.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_summary_has_the_documented_columns_and_the_figures(tmp_path: Path) -> None:
    rows = summary(make_study(), tmp_path)
    assert [row["write_quorum"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert list(rows[0]) == [name for name, _, _ in SUMMARY_COLUMNS]
    figures = [
        1,
        10_000,
        4.0,
        0.1,
        3.75,
        8.0,
        12.0,
        36.0,
        10.0,
        1_000.0,
        4,
        0.008,
        1,
        0,
        0.0008,
        0.0004,
    ]
    assert [float(value) for value in rows[0].values()] == pytest.approx(figures)


def test_unknown_figures_are_empty_in_the_summary(tmp_path: Path) -> None:
    quorums = (
        make_quorum(1, None, problems=("p",)),
        make_quorum(2, make_latency(3.0, ci95_ms=None)),
    )
    first, second = summary(replace(make_study(), quorums=quorums), tmp_path)
    assert (first["average_ms"], first["problems"]) == ("", "1")
    assert second["average_ci95_ms"] == ""
