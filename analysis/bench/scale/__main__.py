"""``python -m analysis.bench.scale``: measure how the service scales, beside what is wanted."""

import argparse
import math
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from analysis.bench.findings import Finding, findings_markdown, write_findings
from analysis.bench.report import describe_run
from analysis.bench.scale import (
    batches,
    catch_up,
    connections,
    growth,
    leaders,
    million,
    soak,
)
from analysis.bench.scale.options import Options
from analysis.bench.wrk import require_wrk
from analysis.nodes.errors import FAILURES, LoadError
from analysis.nodes.node import REPO_ROOT
from analysis.study.machine import describe_machine

MEASUREMENTS: dict[str, Callable[[Options], list[Finding]]] = {
    "followers": growth.followers,
    "keys": growth.keys,
    "values": growth.values,
    "connections": connections.at_once,
    "catch-up": catch_up.catch_up,
    "million": million.million,
    "batches": batches.batches,
    "leaders": leaders.leaders,
    "soak": soak.soak,
}


def main() -> int:
    """Run the measurements of the command line.

    :return: exit code; 0 when all could be made, whether or not the targets are reached.
    """
    # SIGTERM as an exception, so that no node and no load outlives this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    given = _parse()
    machine = describe_machine()
    output: Path = given.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    try:
        require_wrk()
        with TemporaryDirectory(dir=output, prefix="nodes-") as folder:
            findings = _measure(given.only, _options(given, Path(folder)))
    except LoadError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    table = findings_markdown(findings)
    run = describe_run(machine, "Everything on one machine, over loopback.")
    (output / "scale.md").write_text(f"# How it scales\n\n{run}\n\n{table}\n", encoding="utf-8")
    write_findings(findings, output / "scale.json")
    print(f"{table}\nReport: {output / 'scale.md'}")
    return 1 if any(each.note.startswith("failed: ") for each in findings) else 0


def _measure(names: Sequence[str], options: Options) -> list[Finding]:
    """Make the measurements; one that fails is a finding, too, and the others go on."""
    found = []
    for name in names:
        print(f"measuring {name}", file=sys.stderr, flush=True)
        try:
            found += MEASUREMENTS[name](options)
        except (*FAILURES, TimeoutError, OSError) as error:
            found.append(Finding(name, math.nan, note=f"failed: {str(error).splitlines()[0]}"))
    return found


def _options(given: argparse.Namespace, folder: Path) -> Options:
    quick = bool(given.quick)
    return Options(
        seconds=1 if quick else 5,
        many=10_000 if quick else 1_000_000,
        entries=5_000 if quick else 200_000,
        at_once=500 if quick else 10_000,
        soak_minutes=given.soak,
        folder=folder,
    )


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m analysis.bench.scale",
        description="Measure how the service scales. Needs wrk (on Debian: apt-get install wrk).",
    )
    add = parser.add_argument
    names = list(MEASUREMENTS)
    add("--only", nargs="+", choices=names, default=names, metavar="NAME", help=", ".join(names))
    add("--quick", action="store_true", help="small numbers, which show that it works")
    add(
        "--soak", type=int, default=0, metavar="MINUTES", help="length of a long run; default: none"
    )
    output = REPO_ROOT / "results" / "scale"
    add("--output", type=Path, default=output, metavar="FOLDER", help="default: results/scale/")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
