"""Sentences about a study that the pictures and the report share."""

from analysis.study.results import Results


def describe_delay(results: Results) -> str:
    """The range of the simulated delay."""
    if results.study.settings.delay_ms is None:
        return "as the cluster was set"
    low, high = results.study.settings.delay_ms
    return f"{low:g} to {high:g} ms before each replication request"


def describe_place(results: Results) -> str:
    """Where the nodes and the load ran, and when."""
    machine, settings = results.study.machine, results.study.settings
    place = "nodes and load on one machine" if settings.is_local else "load from a machine"
    return (
        f"Measured {results.study.started_at[:10]}: {place} with {machine.cores} cores "
        f"({machine.processor}), Python {machine.python}, seed {settings.seed}, "
        f"{settings.repeats} repeats, commit {machine.commit or '?'}."
    )
