"""Sentences about a study that the plot, the terminal and the report share."""

from analysis.study.results import StudyResult


def describe_load(result: StudyResult) -> str:
    """What was written, by whom, to what."""
    settings = result.settings
    return (
        f"1 leader, {settings.follower_count} followers; for each W {settings.writes:,} writes "
        f"over {settings.keys:,} keys from {settings.users:,} simultaneous clients; "
        f"simulated delay {describe_delay(result)}"
    )


def describe_delay(result: StudyResult) -> str:
    """The range of the simulated delay."""
    if result.settings.delay_ms is None:
        return "as the cluster was set"
    low, high = result.settings.delay_ms
    return f"{low:g} to {high:g} ms per replication request"


def describe_place(result: StudyResult) -> str:
    """Where the nodes and the load ran, and when."""
    machine = result.machine
    place = "nodes and load on one machine" if result.settings.is_local else "load from a machine"
    return (
        f"Measured {result.started_at[:10]}: {place} with {machine.cores} cores "
        f"({machine.processor}), Python {machine.python}, seed {result.settings.seed}."
    )


def describe_curve(result: StudyResult) -> str:
    """Whether the average rises with the quorum, and whether the steps stand out of the noise."""
    if len(result.curve) < 2:
        return "One write quorum was measured, so there is no curve."
    figures = dict(result.curve)
    if result.falls:
        falls = ", ".join(
            f"from W={lower} ({figures[lower].mean_ms:.2f} ms) to "
            f"W={upper} ({figures[upper].mean_ms:.2f} ms)"
            for lower, upper in result.falls
        )
        shape = f"**The curve is not monotonic:** the average does not rise {falls}."
    else:
        shape = "The average rises with every write quorum."
    if result.unclear_steps:
        steps = ", ".join(f"W={lower} and W={upper}" for lower, upper in result.unclear_steps)
        noise = f"The 95 % confidence intervals overlap for {steps}: that step may be noise."
    else:
        noise = "No two neighbouring 95 % confidence intervals overlap."
    return f"{shape} {noise}"
