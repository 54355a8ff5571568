import csv
from dataclasses import replace
from pathlib import Path

import pytest

from analysis.report.tables import (
    FIGURE_COLUMNS,
    SUMMARY_COLUMNS,
    column_markdown,
    delay_markdown,
    figure_markdown,
    follower_markdown,
    text_table,
    write_summary,
)
from tests.unit.analysis.sample import follower, latency, quorum, study


def test_the_terminal_table_has_one_aligned_row_for_each_quorum() -> None:
    header, rule, *rows = text_table(study()).splitlines()
    assert header.split("  ")[0].strip() == "W"
    assert set(rule) == {"-"}
    assert len(rows) == 5
    assert {len(line) for line in (header, rule, *rows)} == {len(header)}
    assert rows[0].split() == (
        ["1", "4.00", "0.10", "3.75", "8.00", "12.00", "36.0", "1,000", "4", "8.0", "ms", "equal"]
    )


def test_what_is_unknown_is_marked_and_unequal_copies_stand_out() -> None:
    damaged = replace(quorum(2, None), followers=(follower(0, "differs"),))
    row = text_table(replace(study(), quorums=(damaged,))).splitlines()[-1]
    assert row.count("?") == 7
    assert "NOT EQUAL" in row


def test_markdown_tables_have_as_many_cells_in_every_line() -> None:
    result = study()
    for table, rows in (
        (figure_markdown(result), 5),
        (follower_markdown(result), 25),
        (delay_markdown(result), 5),
        (column_markdown(), len(SUMMARY_COLUMNS)),
    ):
        lines = table.splitlines()
        assert len(lines) == rows + 2
        assert len({line.count("|") for line in lines}) == 1


def test_a_bar_in_a_problem_does_not_break_the_markdown_table() -> None:
    damaged = replace(quorum(2, None), followers=(follower(0, "a|b"),))
    assert "a\\|b" in follower_markdown(replace(study(), quorums=(damaged,)))


def test_every_figure_has_its_column() -> None:
    assert len(FIGURE_COLUMNS) == figure_markdown(study()).splitlines()[0].count("|") - 1


def read_summary(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_summary_has_the_documented_columns_and_the_figures(tmp_path: Path) -> None:
    write_summary(study(), tmp_path / "summary.csv")
    rows = read_summary(tmp_path / "summary.csv")
    assert [row["write_quorum"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert list(rows[0]) == [name for name, _, _ in SUMMARY_COLUMNS]
    first = {name: float(value) for name, value in rows[0].items()}
    assert first == pytest.approx(
        {
            "write_quorum": 1,
            "writes": 10_000,
            "average_ms": 4.0,
            "average_ci95_ms": 0.1,
            "p50_ms": 3.75,
            "p95_ms": 8.0,
            "p99_ms": 12.0,
            "max_ms": 36.0,
            "duration_s": 10.0,
            "throughput_per_s": 1_000.0,
            "max_lag_entries": 4,
            "converged_after_s": 0.008,
            "copies_equal": 1,
            "problems": 0,
        }
    )


def test_unknown_figures_are_empty_in_the_summary(tmp_path: Path) -> None:
    quorums = (quorum(1, None, problems=("p",)), quorum(2, latency(3.0, ci95_ms=None)))
    write_summary(replace(study(), quorums=quorums), tmp_path / "summary.csv")
    first, second = read_summary(tmp_path / "summary.csv")
    assert first["average_ms"] == ""
    assert first["problems"] == "1"
    assert second["average_ci95_ms"] == ""
