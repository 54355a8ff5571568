"""The head of a request in its plainest form, as HTTP clients send it.

gunicorn's parser takes a head line by line through every form that HTTP has known; for a small
request, gunicorn takes longer than flask. What is read here is a small part of what gunicorn
accepts, and is read alike. Everything else is left to gunicorn.
"""

import re
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

PLAIN_BYTES = 4096
"""A longer head is not plain. gunicorn's limits are above it."""
PLAIN_HEADERS = 50

# Without a fragment, and without a second slash, behind which a host might stand.
_TARGET = r'((/(?!/)[!-"$->@-~]*+)(?:\?([!-"$-~]*+))?)'
_HEADER = r"([A-Za-z][A-Za-z0-9-]*+): ?([!-~][ -~]*+)(?<! )\r\n"
_HEADERS = re.compile(_HEADER)
_HEAD = re.compile(rf"(GET|PUT|POST|DELETE) {_TARGET} HTTP/1\.1\r\n((?:{_HEADER})+)\r\n")
_LENGTH = re.compile("[0-9]{1,15}")
_NOT_PLAIN = frozenset(
    # What changes how a request is framed or answered, and what only a trusted proxy may say.
    {"HTTP_TRANSFER_ENCODING", "HTTP_TRAILER", "HTTP_TE", "HTTP_EXPECT", "HTTP_UPGRADE"}
    | {"HTTP_HTTP2_SETTINGS", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_PROTOCOL"}
    | {"HTTP_X_FORWARDED_SSL"}
)


class PlainHead(NamedTuple):
    """A head.

    :param environ: what it says, by the names of WSGI (PEP 3333) and of gunicorn (``RAW_URI``).
    :param length: of the body, in bytes.
    :param size: of the head, in bytes.
    :param keep_alive: whether the client may send another request on this connection.
    """

    environ: dict[str, Any]
    length: int
    size: int
    keep_alive: bool


def read_plain_head(data: bytes) -> PlainHead | None:
    """Read the head with which the data begin; None unless all of it is there, and it is plain."""
    match = _HEAD.match(data[:PLAIN_BYTES].decode("latin-1"))
    if match is None:
        return None
    method, uri, path, query, lines = match.group(1, 2, 3, 4, 5)
    headers = _HEADERS.findall(lines)
    environ: dict[str, Any] = {_environ_name(name): value for name, value in headers}
    length = environ.get("CONTENT_LENGTH", "0")
    if (
        len(environ) < len(headers)
        or len(headers) > PLAIN_HEADERS
        or not _NOT_PLAIN.isdisjoint(environ)
        or not _LENGTH.fullmatch(length)
    ):
        return None
    environ["REQUEST_METHOD"] = method
    environ["RAW_URI"] = uri
    environ["PATH_INFO"] = unquote_to_bytes(path).decode("latin-1") if "%" in path else path
    environ["QUERY_STRING"] = query or ""
    keep_alive = environ.get("HTTP_CONNECTION", "").lower() != "close"
    return PlainHead(environ, int(length), match.end(), keep_alive)


@lru_cache(maxsize=256)
def _environ_name(header: str) -> str:
    name = header.upper().replace("-", "_")
    return name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
