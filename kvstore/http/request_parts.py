"""What routes need of a request: its target, key, body within bounds, and headers.

All of it is taken from the WSGI environment, as the one form that every route has: those for the
leader are answered before flask is entered.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

import gevent
from gevent.lock import BoundedSemaphore
from gunicorn.http.errors import ParseException
from werkzeug.routing import BaseConverter
from werkzeug.wsgi import get_content_length

from kvstore.core.errors import InvalidRequest, RequestTimeout, TooLarge, WriteRefused
from kvstore.http.parser_pool import SMALL_BYTES
from kvstore.node.turn import Turn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

BODY_TIMEOUT_S = 20.0
"""How long a client may take to send a body, from the end of the head on."""

LARGE_BODIES = 64
"""How many bodies above ``SMALL_BYTES`` may be in flight, that is, being read or parsed; others
wait, and stay in the network meanwhile."""

_PART_BYTES = 1 << 20

_large_bodies = BoundedSemaphore(LARGE_BODIES)

_BAD_PERCENT = re.compile("%(?![0-9A-Fa-f]{2})")
_QUERY = re.compile(r"([a-z_]+)=([0-9]{1,18})")
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_ENTITY_TAGS = re.compile(r'(?:[ \t,]|(?:W/)?"[^"]*"(?=[ \t]*(?:,|$)))*')
_VERSION_TAG = re.compile(r'(W/)?"(0|[1-9][0-9]{0,18})"')


class KeyConverter(BaseConverter):
    """A key is the rest of the path, slashes and line ends included."""

    regex = r"(?s:.+)"
    part_isolating = False


def check_target(environ: "WSGIEnvironment", *, takes_query: bool) -> None:
    """Refuse what HTTP forbids, and what would name another key than the one meant.

    :param takes_query: whether the route takes a query.
    :raises InvalidRequest: the request names no host, or its target is not encoded as RFC 3986
        requires: it has a bare ``%`` or ``#``, or a path that does not decode to UTF-8.
    """
    if environ["SERVER_PROTOCOL"] == "HTTP/1.1" and "HTTP_HOST" not in environ:
        raise InvalidRequest("the Host header is missing")
    target = environ["RAW_URI"]
    if "#" in target or ("%" in target and _BAD_PERCENT.search(target)):
        raise InvalidRequest("the path is not percent-encoded: it contains a bare % or #")
    try:
        environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise InvalidRequest("the path is not percent-encoded UTF-8") from None
    # A key with a bare "?" would lose what follows it.
    if "?" in target and not takes_query:
        raise InvalidRequest("this route takes no query: a ? in a key is written %3F")


def query_number(environ: "WSGIEnvironment", name: str) -> int | None:
    """The only query parameter, below 10**18; None when there is no query.

    :raises InvalidRequest: the query is anything else.
    """
    query = environ["QUERY_STRING"]
    if not query:
        return None
    match = _QUERY.fullmatch(query)
    if match is None or match[1] != name:
        raise InvalidRequest(
            f"the only query parameter is {name}, a whole number of up to 18 digits"
        )
    return int(match[2])


def check_key(key: str, max_bytes: int) -> str:
    """:raises InvalidRequest: the key is over its limit."""
    if len(key.encode("utf-8")) > max_bytes:
        raise InvalidRequest(f"the key is longer than {max_bytes} bytes")
    return key


def read_body(environ: "WSGIEnvironment", max_bytes: int) -> bytes:
    """Read the body to its end.

    :raises DefiniteError: as :func:`whole_body` does.
    """
    with whole_body(environ, max_bytes) as parts:
        return b"".join(parts)


@contextmanager
def whole_body(environ: "WSGIEnvironment", max_bytes: int) -> Iterator[list[bytes]]:
    """Read the body to its end; a large one counts as in flight while it is in use.

    :return: its parts: to join a large one would block the loop.
    :raises TooLarge: it is over its limit.
    :raises RequestTimeout: it did not arrive in time.
    :raises InvalidRequest: it ended early, or its chunks are not as HTTP wants them.
    :raises WriteRefused: too many large ones are being read.
    """
    if environ.get("HTTP_TRANSFER_ENCODING", "chunked").lower() != "chunked":
        raise InvalidRequest("Transfer-Encoding can only be chunked")
    length = get_content_length(environ)
    if length is not None and length > max_bytes:
        raise TooLarge(f"the body is larger than {max_bytes} bytes")
    if (max_bytes if length is None else length) <= SMALL_BYTES:
        yield _read(environ, length, max_bytes)
        return
    if not _large_bodies.acquire(timeout=BODY_TIMEOUT_S):
        raise WriteRefused("too many large bodies are being read")
    try:
        yield _read(environ, length, max_bytes)
    finally:
        _large_bodies.release()


def _read(environ: "WSGIEnvironment", length: int | None, max_bytes: int) -> list[bytes]:
    wanted = max_bytes + 1 if length is None else length
    try:
        with gevent.Timeout(BODY_TIMEOUT_S):
            parts = _read_parts(environ, wanted)
    except gevent.Timeout:
        raise RequestTimeout(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
    except ParseException:
        raise InvalidRequest("the body's chunks are malformed") from None
    except OSError:
        raise InvalidRequest("the body ended early") from None
    size = sum(map(len, parts))
    if length is None and size > max_bytes:
        raise TooLarge(f"the body is larger than {max_bytes} bytes")
    if length is not None and size < length:
        raise InvalidRequest("the body ended early")
    return parts


def _read_parts(environ: "WSGIEnvironment", size: int) -> list[bytes]:
    """:return: less than was asked for where the body ended."""
    parts = []
    turn = Turn()
    while size > 0 and (part := environ["wsgi.input"].read(min(size, _PART_BYTES))):
        parts.append(part)
        size -= len(part)
        turn.give_way()
    return parts


def idempotency_key(environ: "WSGIEnvironment") -> str | None:
    """The header ``Idempotency-Key``; None if it is missing.

    :raises InvalidRequest: it is empty, too long, or holds other characters.
    """
    key: str | None = environ.get("HTTP_IDEMPOTENCY_KEY")
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest(
            "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces"
        )
    return key


def version_tags(
    environ: "WSGIEnvironment", header: str, *, weak: bool
) -> frozenset[int] | Literal["*"] | None:
    """The versions that an ``If-Match`` or ``If-None-Match`` header lists.

    :param weak: whether weak tags (``W/"7"``) count; RFC 9110 (section 8.8.3.2) compares
        If-Match strongly and If-None-Match weakly.
    :return: without tags that are not versions: no key ever has those. ``*`` = any version;
        None = the header is missing.
    :raises InvalidRequest: it is not a list of entity tags.
    """
    value = environ.get(f"HTTP_{header.upper().replace('-', '_')}")
    if value is None:
        return None
    if value == "*":
        return "*"
    if not _ENTITY_TAGS.fullmatch(value):
        raise InvalidRequest(f'{header} must be * or a list of quoted versions such as "7"')
    tags = _VERSION_TAG.finditer(value)
    return frozenset(int(tag[2]) for tag in tags if weak or not tag[1])
