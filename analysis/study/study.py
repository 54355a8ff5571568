"""The study: all its runs on one cluster."""

import time
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from analysis.nodes.errors import FAILURES
from analysis.study.cluster import Cluster, open_cluster
from analysis.study.load import run_load
from analysis.study.machine import describe_machine
from analysis.study.measurement import load_spec, measure
from analysis.study.progress import Progress
from analysis.study.results import Study
from analysis.study.runs import Run, plan_measurements
from analysis.study.settings import StudySettings

INTERRUPTED = "interrupted: only the runs that had ended are here"


def run_study(settings: StudySettings) -> None:
    """Make all runs of a study, and save each when it has ended.

    It stops after the first measurement with a problem: any further figures would be those of a
    cluster that is known to be damaged.

    :param settings: what to do, and where the data goes.
    :raises StudyError: when the nodes do not start, do not answer, or are not a leader and all its
        followers.
    :raises KeyboardInterrupt: the runs that have ended are saved.
    """
    order = plan_measurements(settings)
    study = Study(
        settings=settings,
        machine=describe_machine(),
        order=tuple(run for measurement in order for run in measurement),
        started_at=datetime.now(UTC).astimezone().isoformat(timespec="seconds"),
        failure=INTERRUPTED,
    )
    started_s = time.monotonic()
    study.save(settings.folder)
    try:
        with closing(Progress(settings, order)) as progress:
            progress.say("starting the nodes")
            with open_cluster(settings) as cluster:
                _warm_up(settings, cluster, progress)
                for measurement in order:
                    done = measure(settings, cluster, measurement, progress)
                    if any(data.result.problems for data in done):
                        break
                progress.say("stopping the nodes")
            progress.say("done")
    except FAILURES as error:
        msgspec.structs.replace(study, failure=str(error)).save(settings.folder)
        raise
    took_s = time.monotonic() - started_s
    msgspec.structs.replace(study, failure=None, duration_s=took_s).save(settings.folder)


def _warm_up(settings: StudySettings, cluster: Cluster, progress: Progress) -> None:
    if settings.warm_up_writes == 0:
        return
    progress.say("warming up")
    spec = load_spec(settings, cluster, Run("loaded", max(settings.quorums), 0))
    warm_up = replace(
        spec,
        writes=settings.warm_up_writes,
        key_prefix="warm-up-",
        folder=settings.folder / "warm_up",
    )
    run_load(warm_up, lambda _: None)
