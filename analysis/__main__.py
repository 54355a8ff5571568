"""``python -m analysis``: make a study; draw and report one again; compare two."""

import shutil
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.nodes.errors import FAILURES
from analysis.report.comparison import compare
from analysis.report.findings import findings
from analysis.report.pictures import draw_pictures
from analysis.report.report import render_failure, render_html, render_markdown
from analysis.report.tables import text_table, write_summary
from analysis.study.results import RUNS, STUDY, Results
from analysis.study.settings import StudySettings, parse_settings
from analysis.study.study import run_study

REPORT, PAGE, SUMMARY, PICTURES = "report.md", "report.html", "summary.csv", "pictures"
USAGE = {
    "plot": "usage: python -m analysis plot FOLDER\n\nDraw and report a study's data again.",
    "compare": "usage: python -m analysis compare FOLDER FOLDER\n\nCompare two studies.",
}


def main(words: Sequence[str]) -> int:
    """Do what the command line asks for.

    :param words: the command line without the program's name.
    :return: exit code; 0 only when every run was made and every check passed.
    """
    # SIGTERM as an exception, so that no node and no load outlives the study.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    command, *rest = words or [""]
    if command in USAGE:
        folders = [Path(word) for word in rest]
        if len(folders) != (1 if command == "plot" else 2) or rest[0].startswith("-"):
            print(USAGE[command], file=sys.stderr)
            return 0 if rest in (["--help"], ["-h"]) else 2
        return _again(folders[0]) if command == "plot" else _compare(*folders)
    return _study(parse_settings(words))


def _study(settings: StudySettings) -> int:
    _clear(settings.folder)
    try:
        run_study(settings)
    except FAILURES:
        pass  # it is part of what was saved, and shown as a problem
    except KeyboardInterrupt:
        _report(settings.folder)
        return 128 + signal.SIGINT
    return _report(settings.folder)


def _clear(output: Path) -> None:
    """Remove what an earlier study left, so that nothing old passes for a result of this one."""
    output.mkdir(parents=True, exist_ok=True)
    for name in (REPORT, PAGE, SUMMARY, STUDY):
        (output / name).unlink(missing_ok=True)
    for folder in (RUNS, PICTURES, "warm_up", "nodes"):
        shutil.rmtree(output / folder, ignore_errors=True)


def _again(folder: Path) -> int:
    try:
        return _report(folder)
    except FAILURES as error:
        print(f"Nothing to draw: {error}", file=sys.stderr)
        return 1


def _report(folder: Path) -> int:
    """Draw, report and print what a study's folder holds.

    :raises StudyError: its data is missing or damaged.
    """
    results = Results.load(folder)
    pictures = []
    if results.runs:
        pictures = draw_pictures(results, folder / PICTURES)
        write_summary(results, folder / SUMMARY)
        (folder / PAGE).write_text(render_html(results, pictures), encoding="utf-8")
        (folder / REPORT).write_text(render_markdown(results, pictures, folder), encoding="utf-8")
    else:
        reason = results.study.failure or "no run was made"
        (folder / REPORT).write_text(render_failure(results.study, reason), encoding="utf-8")
    _print(results, folder)
    return 0 if results.passed else 1


def _print(results: Results, folder: Path) -> None:
    if results.runs:
        print(f"\n{text_table(results)}\n")
        for sentence in findings(results):
            print(f"- {sentence.replace('**', '')}")
    if results.passed:
        print("Check passed: all copies are equal, and every write is there.")
    for problem in results.problems:
        print(f"Check failed: {problem}")
    print(f"Report: {folder / (PAGE if results.runs else REPORT)}")


def _compare(first: Path, second: Path) -> int:
    try:
        table, sentences = compare(Results.load(first), Results.load(second))
    except FAILURES as error:
        print(f"Nothing to compare: {error}", file=sys.stderr)
        return 1
    print("How many times as much in the second study as in the first (95 % interval):\n")
    print(table)
    print()
    for sentence in sentences:
        print(f"- {sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
