"""``python -m analysis.bench``: measure, compare with the targets, draw and report."""

import signal
import sys

from analysis.bench.findings import findings_markdown, write_findings
from analysis.bench.plot import draw_plot
from analysis.bench.predictions import predict
from analysis.bench.report import describe_run, render_report, write_measurements, write_summary
from analysis.bench.run import run_bench
from analysis.bench.settings import BenchSettings, parse_settings
from analysis.bench.summary import summarise
from analysis.bench.targets import judge
from analysis.bench.wrk import require_wrk
from analysis.nodes.errors import FAILURES
from analysis.study.machine import Machine, describe_machine

PLOT = "bench.png"
REPORT = "bench.md"


def main() -> int:
    """Run the benchmark of the command line.

    :return: exit code; 0 when everything was measured, whether or not the targets are reached.
    """
    # SIGTERM as an exception, so that no node and no load outlives the benchmark.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    settings = parse_settings()
    machine = describe_machine()
    try:
        require_wrk()
        measurements = run_bench(settings, lambda text: print(text, file=sys.stderr, flush=True))
    except FAILURES as error:
        print(f"The benchmark failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    summaries = summarise(measurements)
    findings = judge(summaries, measurements)
    predictions = predict(summaries, machine.cores)
    run = describe_run(machine, str(settings))
    report = render_report(summaries, findings, predictions, run=run, plot=PLOT)
    output = settings.output
    (output / REPORT).write_text(report, encoding="utf-8")
    write_measurements(measurements, output / "measurements.csv")
    write_summary(summaries, output / "summary.csv")
    write_findings(findings, output / "targets.json")
    draw_plot(summaries, _caption(settings, machine), output / PLOT)
    print(findings_markdown(findings))
    print(f"Report: {output / REPORT}")
    return 0


def _caption(settings: BenchSettings, machine: Machine) -> str:
    return (
        "Dots: medians over the rounds of the ratio within each round; lines: lowest to highest. "
        "Beside them: requests a second. Durable and in memory: one leader, five followers.\n"
        f"{settings.rounds} loads of {settings.seconds} s for each dot; {machine.processor}, "
        f"{machine.cores} cores for all servers and the load; commit {machine.commit or '?'}."
    )


if __name__ == "__main__":
    sys.exit(main())
