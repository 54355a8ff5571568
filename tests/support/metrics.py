"""What a node counts, read from its ``/metrics``."""

from prometheus_client.parser import text_string_to_metric_families

from kvstore.client.node_client import NodeClient


def scrape(node: NodeClient, **headers: str) -> dict[tuple[str, ...], float]:
    """Every sample: its name, and then its labels as ``name=value``, sorted."""
    answer = node.request("GET", "/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
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
