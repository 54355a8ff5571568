"""What a node counts, read from its ``/metrics``."""

import requests
from prometheus_client.parser import text_string_to_metric_families

from kvstore.client.errors import NodeUnavailableError
from kvstore.client.node_client import NodeClient


def scrape(node: NodeClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Every sample: its name, and then its labels as ``name=value``, sorted.

    :raises NodeUnavailableError: without an answer 200.
    """
    try:
        answer = node.request("GET", "/metrics", headers=headers)
    except requests.RequestException as error:
        raise NodeUnavailableError(f"{node.url}/metrics: {type(error).__name__}") from error
    if answer.status_code != 200:
        raise NodeUnavailableError(f"{answer.url}: HTTP {answer.status_code} {answer.text[:300]}")
    return {
        (sample.name, *sorted(f"{name}={value}" for name, value in sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def requests_of(node: NodeClient, method: str, route: str, status: int) -> float:
    """How many requests a node has counted."""
    labels = (f"method={method}", f"route={route}", f"status={status}")
    return scrape(node).get(("kvstore_http_request_duration_seconds_count", *labels), 0)
