"""Fill a leader with many keys, as fast as it takes them."""

from analysis.bench.wrk import Requests, run_wrk
from analysis.nodes.errors import LoadError
from kvstore.client.node_client import NodeClient

BATCH = 1000
_CONNECTIONS = 64
_SECONDS = 10


def write_batch(leader: NodeClient, first: int, count: int, value_bytes: int) -> int:
    """Put keys with one ``POST /batch``.

    :param first: number of the first key; the others follow.
    :return: the answer's status; 404 = there is no such route.
    """
    value = "x" * value_bytes
    numbers = range(first, first + count)
    operations = [{"operation": "put", "key": f"key{n}", "value": value} for n in numbers]
    return leader.request("POST", "/batch", json={"operations": operations}).status_code


def fill(leader: NodeClient, keys: int, value_bytes: int = 10) -> None:
    """Put every key once: in batches, or one by one where the leader takes none.

    :raises LoadError: the leader does not confirm them.
    """
    first = 0
    while first < keys:
        count = min(BATCH, keys - first)
        status = write_batch(leader, first, count, value_bytes)
        if status == 404:
            _fill_singly(leader, keys, value_bytes)
            return
        if status != 200:
            raise LoadError(f"a batch of {count} keys was answered with {status}")
        first += count


def _fill_singly(leader: NodeClient, keys: int, value_bytes: int) -> None:
    first = 0
    while first < keys:
        requests = Requests("PUT", first, keys - first, value_bytes)
        answers = run_wrk(leader.url, requests, _CONNECTIONS, _SECONDS).answers
        if answers <= _CONNECTIONS:
            raise LoadError(f"only {answers} of {_SECONDS} seconds' writes were confirmed")
        # What was sent last was not answered when the load ended.
        first += answers - _CONNECTIONS
