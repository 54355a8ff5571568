"""The head of a request in its plainest form, as HTTP clients send it.

gunicorn's parser takes a head line by line through every form that HTTP has known; for a small
request that takes as long as half of flask. What is read here is a small part of what gunicorn
accepts, and is read alike. Everything else is left to gunicorn.
"""

import re
from typing import NamedTuple

PLAIN_BYTES = 4096
"""A longer head is not plain. gunicorn's limits are above it."""
PLAIN_HEADERS = 50

# Without a fragment, and without a second slash, behind which a host might stand.
_TARGET = r'(/(?!/)[!-"$->@-~]*+)(?:\?([!-"$-~]*+))?'
_HEADER = r"([A-Za-z][A-Za-z0-9-]*+): ?([!-~][ -~]*+)(?<! )\r\n"
_HEADERS = re.compile(_HEADER)
_HEAD = re.compile(rf"(GET|PUT|POST|DELETE) {_TARGET} HTTP/1\.1\r\n((?:{_HEADER})+)\r\n")
_LENGTH = re.compile("[0-9]{1,15}")
_NOT_PLAIN = frozenset(
    # What changes how a request is framed or answered, and what only a trusted proxy may say.
    {"TRANSFER-ENCODING", "TRAILER", "TE", "EXPECT", "UPGRADE", "HTTP2-SETTINGS"}
    | {"X-FORWARDED-PROTO", "X-FORWARDED-PROTOCOL", "X-FORWARDED-SSL"}
)


class PlainHead(NamedTuple):
    """A head.

    :param query: without the question mark; empty for none.
    :param headers: names in capitals, none of them twice, with their values.
    :param size: of the whole head, in bytes.
    """

    method: str
    uri: str
    path: str
    query: str
    headers: list[tuple[str, str]]
    size: int


def read_plain_head(data: bytes) -> PlainHead | None:
    """Read the head with which the data begin; None unless all of it is there, and it is plain."""
    match = _HEAD.match(data[:PLAIN_BYTES].decode("latin-1"))
    if match is None:
        return None
    method, path, query, lines = match.group(1, 2, 3, 4)
    headers = [(name.upper(), value) for name, value in _HEADERS.findall(lines)]
    by_name = dict(headers)
    if (
        len(by_name) < len(headers)
        or len(headers) > PLAIN_HEADERS
        or not _NOT_PLAIN.isdisjoint(by_name)
        or not _LENGTH.fullmatch(by_name.get("CONTENT-LENGTH", "0"))
    ):
        return None
    uri = path if query is None else f"{path}?{query}"
    return PlainHead(method, uri, path, query or "", headers, match.end())
