"""``python -m analysis``: measure every write quorum, check the copies, draw and report."""

import shutil
import signal
import sys
from pathlib import Path

from analysis.nodes.errors import StudyError
from analysis.report.plot import draw_plot
from analysis.report.report import render_failure, render_report
from analysis.report.tables import text_table, write_summary
from analysis.report.wording import describe_curve
from analysis.study.results import StudyResult
from analysis.study.settings import StudySettings, parse_settings
from analysis.study.study import run_study

REPORT = "report.md"
SUMMARY = "summary.csv"
PLOT = "quorum_latency"


def main() -> int:
    """Run the study of the command line.

    :return: exit code; 0 only when every quorum was measured and every check passed.
    """
    # SIGTERM as an exception, so that no node and no load outlives the study.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings = parse_settings()
    _clear(settings.output)
    try:
        result = run_study(settings)
    except StudyError as error:
        (settings.output / REPORT).write_text(
            render_failure(settings, str(error)), encoding="utf-8"
        )
        print(f"Check failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    _write(result, settings)
    _print(result, settings)
    return 0 if result.passed else 1


def _clear(output: Path) -> None:
    """Remove what an earlier study left, so that nothing old passes for a result of this one."""
    output.mkdir(parents=True, exist_ok=True)
    for name in (REPORT, SUMMARY, f"{PLOT}.png", f"{PLOT}.svg"):
        (output / name).unlink(missing_ok=True)
    for folder in (*output.glob("quorum_[0-9]*"), output / "nodes"):
        shutil.rmtree(folder, ignore_errors=True)


def _write(result: StudyResult, settings: StudySettings) -> None:
    plot = None
    if result.curve:
        plot = f"{PLOT}.png"
        draw_plot(result, settings.output / plot, settings.output / f"{PLOT}.svg")
    write_summary(result, settings.output / SUMMARY)
    (settings.output / REPORT).write_text(render_report(result, plot), encoding="utf-8")


def _print(result: StudyResult, settings: StudySettings) -> None:
    print(f"\n{text_table(result)}\n")
    print("Times in ms; lag: entries behind at the last answer; converged: time until none was.")
    print(describe_curve(result).replace("**", ""))
    if result.passed:
        print("Check passed: all copies are equal, and every write is there.")
    for problem in result.problems:
        print(f"Check failed: {problem}")
    print(f"Report: {settings.output / REPORT}")


if __name__ == "__main__":
    sys.exit(main())
