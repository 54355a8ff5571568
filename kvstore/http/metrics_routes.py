"""``GET /metrics``: what a node counts, in the text format of Prometheus."""

import platform
from collections.abc import Iterator
from itertools import accumulate

from flask import Blueprint, Response, request
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from kvstore import __version__
from kvstore.http.access import AccessCheck
from kvstore.http.request_figures import RequestFigures
from kvstore.http.watch_routes import open_streams
from kvstore.node.figures import Distribution, NodeFigures
from kvstore.node.node import Node


def metrics_routes(node: Node, requests: RequestFigures, check_access: AccessCheck) -> Blueprint:
    """Build the route.

    :param requests: what counts the node's requests.
    :param check_access: raises when the caller may not use this route.
    """
    routes = Blueprint("metrics", __name__)
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    registry.register(_NodeCollector(node, requests))

    @routes.get("/metrics")
    def metrics() -> Response:
        check_access(request.environ)
        return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)

    return routes


class _NodeCollector(Collector):
    def __init__(self, node: Node, requests: RequestFigures) -> None:
        self._node = node
        self._requests = requests

    def describe(self) -> list[Metric]:
        """Nothing: what there is depends on the node's role."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Everything, as it is now."""
        figures = self._node.figures()
        yield from _node(figures)
        yield from _storage(figures)
        if figures.status.role == "leader":
            yield from _leader(figures)
        yield self._request_durations()
        yield _gauge("watch_streams", "Clients that watch the changes.", open_streams())

    def _request_durations(self) -> Metric:
        family = HistogramMetricFamily(
            "kvstore_http_request_duration_seconds",
            "Requests, and how long they took until their answer began.",
            labels=("route", "method", "status"),
        )
        for labels, seconds in list(self._requests.seconds.items()):
            family.add_metric(labels, *_buckets(seconds))
        return family


def _node(figures: NodeFigures) -> Iterator[Metric]:
    status = figures.status
    build = InfoMetricFamily("kvstore_build", "What runs here.")
    build.add_metric((), {"version": __version__, "python": platform.python_version()})
    yield build
    reign = InfoMetricFamily("kvstore_reign", "The reign that this node leads in or follows.")
    names = {"node": status.node, "reign": status.reign or "", "state": status.state}
    reign.add_metric((), {"role": status.role, **names})
    yield reign
    yield _gauge("epoch", "The greatest epoch that this node knows of.", status.epoch)
    yield _gauge("ready", "Whether the node may serve its role.", figures.ready)
    yield _gauge("problem", "Whether an operator has to fix something.", status.problem is not None)
    yield _gauge("last_index", "Index of the last entry of the log.", status.last_index)
    yield _gauge("durable_index", "Up to where the log is durable.", figures.durable_index)
    yield _gauge("commit_index", "Up to where the log is confirmed.", status.commit_index)
    yield _gauge("applied_index", "Index of the map that is served.", status.applied_index)
    discarded = CounterMetricFamily(
        "kvstore_discarded_entries", "Entries set aside because another history took their place."
    )
    discarded.add_metric((), status.discarded)
    yield discarded


def _storage(figures: NodeFigures) -> Iterator[Metric]:
    yield _gauge("log_entries", "Entries that the log holds.", figures.log_entries)
    yield _gauge("log_bytes", "Approximate size of these entries.", figures.log_bytes)
    yield _gauge("map_keys", "Keys that exist.", figures.map_keys)
    yield _gauge("map_bytes", "Approximate size of keys and values.", figures.map_bytes)
    if figures.commits is not None:
        text = "Transactions on the disk, and how long each took."
        yield _histogram("disk_commit_seconds", text, figures.commits)


def _leader(figures: NodeFigures) -> Iterator[Metric]:
    status = figures.status
    yield _gauge("write_quorum", "W in force.", status.write_quorum or 0)
    pending = max(status.last_index - status.commit_index, 0)
    yield _gauge("pending_entries", "Entries that are not confirmed yet.", pending)
    if figures.quorum_waits is not None:
        text = "Writes, and how long each waited for its quorum."
        yield _histogram("quorum_wait_seconds", text, figures.quorum_waits)
    yield from _exchanges(figures)
    yield from _followers(figures)


def _exchanges(figures: NodeFigures) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(
        "kvstore_replication_exchange_seconds",
        "Replication requests with entries, from sending one to its acknowledgement.",
        labels=("follower",),
    )
    entries = HistogramMetricFamily(
        "kvstore_replication_exchange_entries",
        "How many entries each replication request carried.",
        labels=("follower",),
    )
    lost = CounterMetricFamily(
        "kvstore_replication_lost",
        "Messages to a follower that got no usable answer.",
        labels=("follower",),
    )
    for address, each in figures.exchanges.items():
        seconds.add_metric((address,), *_buckets(each.seconds))
        entries.add_metric((address,), *_buckets(each.entries))
        lost.add_metric((address,), each.lost)
    yield from (seconds, entries, lost)


def _followers(figures: NodeFigures) -> Iterator[Metric]:
    gauges = {
        "follower_reachable": "Whether the follower answers.",
        "follower_lag_entries": "Entries that the follower has not acknowledged.",
        "follower_lag_seconds": "Age of the oldest entry that the follower has not acknowledged.",
        "follower_match_index": "Up to where the follower has acknowledged the log.",
    }
    counters = {
        "follower_entries_sent": "Entries sent to the follower.",
        "follower_snapshots_sent": "Snapshots sent to the follower.",
        "follower_delays": "Simulated delays before requests to the follower.",
        "follower_delay_drawn_seconds": "Sum of these delays, as drawn.",
        "follower_delay_happened_seconds": "Sum of these delays, as they happened.",
    }
    families: list[GaugeMetricFamily | CounterMetricFamily] = [
        kind(f"kvstore_{name}", text, labels=("follower",))
        for kind, texts in ((GaugeMetricFamily, gauges), (CounterMetricFamily, counters))
        for name, text in texts.items()
    ]
    for each in figures.status.followers:
        delay = each.delay
        values = (
            each.state != "unreachable",
            max(each.lag_entries, 0),
            each.lag_s,
            each.match_index,
            each.entries_sent,
            each.snapshots_sent,
            delay.count,
            delay.count * delay.mean_drawn_ms / 1000,
            delay.count * delay.mean_happened_ms / 1000,
        )
        for family, value in zip(families, values, strict=True):
            family.add_metric((each.address,), float(value))
    yield from families


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"kvstore_{name}", text, value=float(value))


def _histogram(name: str, text: str, distribution: Distribution) -> Metric:
    family = HistogramMetricFamily(f"kvstore_{name}", text)
    family.add_metric((), *_buckets(distribution))
    return family


def _buckets(distribution: Distribution) -> tuple[list[tuple[str, float]], float]:
    """The cumulative counts by upper bound, and the sum."""
    bounds = [*map(str, map(float, distribution.bounds)), "+Inf"]
    counts = map(float, accumulate(distribution.counts))
    return list(zip(bounds, counts, strict=True)), distribution.sum
