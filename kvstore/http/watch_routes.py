"""``GET /watch``: the confirmed entries, one after the other, as server-sent events.

What a client has not read yet waits in the log, not in memory of its own. A slow one is cut off
when it does not read for a while, or when the log no longer reaches back to where it is. It may
resume then.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import gevent
import msgspec
from flask import Blueprint, Response, request
from gevent import GreenletExit
from gevent.event import Event
from greenlet import greenlet
from msgspec import Raw

from kvstore.api_types import Change
from kvstore.core.entries import Entry
from kvstore.core.errors import EntriesCut, InvalidRequest, NotReady
from kvstore.http.request_parts import query_number
from kvstore.http.responses import is_large, value_parts
from kvstore.node.node import Node
from kvstore.node.turn import Turn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

HEARTBEAT_S = 3.0
"""After so long without an entry the client is told where it is; so a lost client is noticed."""
MAX_STREAMS = 1000
"""How many clients may watch at a time."""

_MAX_INDEX = 10**18
_encode = msgspec.json.Encoder().encode

_streams: set[greenlet] = set()
_node_stops = Event()


def end_streams() -> None:
    """End all streams, and begin no more: they would go on for ever, and the node stops."""
    _node_stops.set()
    for each in _streams:
        gevent.kill(each)


def open_streams() -> int:
    """How many clients watch now."""
    return len(_streams)


def watch_routes(node: Node) -> Blueprint:
    """Build the route.

    :param node: whose entries to show.
    """
    routes = Blueprint("watch", __name__)

    @routes.get("/watch")
    def watch() -> Response:
        wanted = query_number(request.environ, "from")
        resumed = _last_event_id(request.environ)
        now = node.confirmed_index
        after = next((each for each in (resumed, wanted) if each is not None), now)
        node.confirmed_after(after, 0.0)
        if _node_stops.is_set():
            raise NotReady("the node stops")
        if len(_streams) >= MAX_STREAMS:
            raise NotReady("too many clients are watching")
        flush = request.environ["gunicorn.socket"].flush
        response = Response(_events(node, after, flush), content_type="text/event-stream")
        response.headers["Cache-Control"] = "no-store"
        return response

    return routes


def _last_event_id(environ: "WSGIEnvironment") -> int | None:
    """Where a client resumes that has lost its connection."""
    text = environ.get("HTTP_LAST_EVENT_ID")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or int(text) >= _MAX_INDEX:
        raise InvalidRequest("Last-Event-ID must be an index")
    return int(text)


def _events(node: Node, index: int, flush: Callable[[], None]) -> Iterator[bytes]:
    """Where the client is, and then every entry from there on, until the client or the node ends.

    :param flush: sends what was handed out.
    """
    own = gevent.getcurrent()
    _streams.add(own)
    turn = Turn()
    try:
        # Without data: the client learns from where it has to resume, and sees no event.
        yield b"id: %d\n\n" % index
        while True:
            flush()
            entries = node.confirmed_after(index, HEARTBEAT_S)
            for entry in entries:
                index = entry.index
                if entry.operation != "noop":
                    yield from _event(entry, turn)
                turn.give_way()
            if not entries:
                yield b"id: %d\n\n" % index
    except (NotReady, EntriesCut, GreenletExit):
        return  # the client resumes, here or elsewhere, and is told why if it cannot
    finally:
        _streams.discard(own)


def _event(entry: Entry, turn: Turn) -> Iterator[bytes]:
    assert entry.operation != "noop", "it changes no key"
    value = entry.value if isinstance(entry.value, Raw) else Raw(b"null")
    change = Change(index=entry.index, operation=entry.operation, key=entry.key, value=None)
    yield b"id: %d\ndata: %b" % (entry.index, _encode(change).removesuffix(b"null}"))
    if is_large(value):
        yield from value_parts(value, turn)
    else:
        yield bytes(value)
    yield b"}\n\n"
