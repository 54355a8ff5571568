"""Two studies side by side: ratios with intervals, and a sentence for each that differs."""

from collections.abc import Callable

from analysis.report.tables import markdown_table
from analysis.study.results import Results
from analysis.study.statistics import Interval, ratio_interval
from analysis.study.summary import QuorumFigures, figures_of

Repeats = Callable[[QuorumFigures], list[float]]

REGIMES = ("idle", "idle_no_delay", "loaded")
FIGURES: dict[str, tuple[str, str, str, Repeats]] = {
    "mean ms": ("a write", "takes", "as long", lambda each: list(each.means_ms)),
    "writes/s": (
        "the cluster",
        "confirms",
        "as many writes/s",
        lambda each: [] if each.is_idle else [run.throughput_per_s for run in each.runs],
    ),
    "leader CPU": (
        "the leader",
        "needs",
        "as much processor time for a write",
        lambda each: [run.result.cpu.leader_s for run in each.runs if run.result.cpu],
    ),
}
"""By column: what the sentence is about, its verb, what it compares, and the figure of each repeat.
"""


def compare(first: Results, second: Results) -> tuple[str, list[str]]:
    """Compare the second study with the first.

    :return: a Markdown table of ratios, and a sentence for each figure that differs for certain, or
        one that says that none does.
    """
    rows, sentences = [], []
    for regime in REGIMES:
        ours, theirs = figures_of(first, regime), figures_of(second, regime)
        for w in sorted(ours.keys() & theirs.keys()):
            row = [regime.replace("_", " "), str(w)]
            for subject, verb, what, repeats in FIGURES.values():
                below, above = repeats(ours[w]), repeats(theirs[w])
                if not below or not above:
                    row.append("-")
                    continue
                ratio = ratio_interval(above, below)
                row.append(_text(ratio))
                if _differs(ratio):
                    sentences.append(
                        f"{regime.replace('_', ' ')}, W={w}: in the second study {subject} {verb} "
                        f"{_text(ratio)} times {what}."
                    )
            rows.append(row)
    if not rows:
        sentences.append("The two studies have no regime and write quorum in common.")
    elif not sentences:
        sentences.append("No figure differs for certain: every interval holds 1.")
    table = markdown_table(("regime", "W", *FIGURES), rows)
    return table, [*_conditions(first, second), *sentences]


def _differs(ratio: Interval) -> bool:
    return ratio.low is not None and ratio.high is not None and not ratio.low <= 1 <= ratio.high


def _text(ratio: Interval) -> str:
    if ratio.low is None or ratio.high is None:
        return f"{ratio.mean:.2f}"
    return f"{ratio.mean:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _conditions(first: Results, second: Results) -> list[str]:
    """What was not the same, so that a difference may come from there."""
    one, other = first.study, second.study
    pairs = {
        "processor": (one.machine.processor, other.machine.processor),
        "cores": (one.machine.cores, other.machine.cores),
        "commit": (one.machine.commit, other.machine.commit),
        "simulated delay": (one.settings.delay_ms, other.settings.delay_ms),
        "clients": (one.settings.users, other.settings.users),
        "writes of a loaded run": (one.settings.writes, other.settings.writes),
        "keys": (one.settings.keys, other.settings.keys),
    }
    return [
        f"Not the same: {name} ({mine}, then {yours})."
        for name, (mine, yours) in pairs.items()
        if mine != yours
    ]
