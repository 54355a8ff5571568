"""Follow the changes of a cluster over any of its nodes (server-sent events)."""

import time
from collections.abc import Generator, Iterator
from contextlib import suppress

import msgspec
import requests

from kvstore.api_types import Change, EntriesCut
from kvstore.client.answers import explain, refusal, why_unanswered
from kvstore.client.errors import EntriesCutError, NodeUnavailableError, RefusedError
from kvstore.client.node_client import NodeClient, decode
from kvstore.client.routing import Router

SILENCE_S = 7.0
"""After so long without a sign a node counts as lost; it gives one every three seconds."""

_PAUSE_S = 0.1
_PART_BYTES = 1 << 16
_decode = msgspec.json.Decoder(Change).decode


def watch(router: Router, from_index: int | None, timeout_s: float) -> Generator[Change]:
    """See :meth:`.Client.watch`."""
    place = _Place(from_index)
    while True:
        with (
            _connect(router, place.index, timeout_s) as answer,
            suppress(requests.RequestException),
        ):
            yield from place.changes(answer)
        time.sleep(_PAUSE_S)


class _Place:
    """How far a watcher has come.

    :param index: of the last entry that it has seen or passed; None = it begins now.
    """

    def __init__(self, index: int | None) -> None:
        self.index = index

    def changes(self, answer: requests.Response) -> Iterator[Change]:
        """The changes that an answer brings, until it ends."""
        data: bytes | None = None
        for line in answer.iter_lines(_PART_BYTES):
            name, _, text = line.partition(b": ")
            if name == b"data":
                data = text
            elif name == b"id" and self.index is None:
                # The stream begins with where it begins; other ids are those of their data.
                self.index = int(text)
            elif not line and data is not None:
                # Only now the event is there as a whole.
                change = _decode(data)
                data, self.index = None, change.index
                yield change


def _connect(router: Router, index: int | None, timeout_s: float) -> requests.Response:
    """Find a node that shows what comes behind an index.

    :return: its answer, of which the head has arrived.
    """
    reason = "no node was asked"
    cut: dict[str, EntriesCutError] = {}
    for node in router.to_readers(time.monotonic() + timeout_s, prefer_followers=True):
        try:
            return _open(node, index)
        except EntriesCutError as error:
            # A node that has got a snapshot reaches back less far than others.
            cut[node.url] = error
            if len(cut) == len(router.nodes):
                break
        except requests.RequestException as error:
            reason = why_unanswered(node, error)
        except NodeUnavailableError as error:
            reason = str(error)
    if cut:
        raise min(cut.values(), key=lambda each: each.index)
    raise NodeUnavailableError(f"no node could be watched within {timeout_s:g} s ({reason})")


def _open(node: NodeClient, index: int | None) -> requests.Response:
    """Begin a stream.

    :raises NodeUnavailableError: the node cannot be watched now.
    :raises EntriesCutError: its log does not reach back to the index.
    """
    query = "" if index is None else f"?from={index}"
    answer = node.request("GET", f"/watch{query}", timeout_s=SILENCE_S, stream=True)
    if answer.status_code == 200 and _is_stream(answer):
        return answer
    with answer:
        if answer.status_code == 410:
            cut = decode(answer, EntriesCut)
            raise EntriesCutError(cut.error, cut.index)
        if (why := refusal(answer)) is not None:
            raise RefusedError(why, answer.status_code)
        raise NodeUnavailableError(f"{node.url}: {explain(answer)}")


def _is_stream(answer: requests.Response) -> bool:
    return answer.headers.get("Content-Type", "").startswith("text/event-stream")
