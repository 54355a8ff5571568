"""The study: every write quorum in turn, on one cluster."""

import random
import time
from contextlib import closing
from datetime import UTC, datetime

from analysis.study.cluster import open_cluster
from analysis.study.machine import describe_machine
from analysis.study.measurement import measure
from analysis.study.progress import Progress
from analysis.study.results import QuorumResult, StudyResult
from analysis.study.settings import StudySettings


def run_study(settings: StudySettings) -> StudyResult:
    """Measure every quorum, and check the copies after each.

    It stops after the first quorum with a problem: any further figures would be those of a
    cluster that is known to be damaged.

    :param settings: what to do.
    :return: all results, problems included.
    :raises StudyError: when the nodes do not start, do not answer, or are not a leader and all its
        followers.
    """
    machine = describe_machine()
    started_at = datetime.now(UTC).astimezone().isoformat(timespec="seconds")
    started = time.monotonic()
    order = list(settings.quorums)
    random.Random(settings.seed).shuffle(order)
    measured: list[QuorumResult] = []
    with closing(Progress(order, settings.writes)) as progress:
        progress.say("starting the nodes")
        with open_cluster(settings) as cluster:
            for write_quorum in order:
                measured.append(measure(settings, cluster, write_quorum, progress))
                if measured[-1].problems:
                    break
    return StudyResult(
        settings=settings,
        machine=machine,
        order=tuple(order),
        quorums=tuple(sorted(measured, key=lambda result: result.write_quorum)),
        started_at=started_at,
        duration_s=time.monotonic() - started,
    )
