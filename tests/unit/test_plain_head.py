"""A plain head is read as gunicorn's own parser reads it; what is not plain is left to it."""

from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import Request
from gunicorn.http.unreader import IterUnreader
from gunicorn.http.wsgi import create
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.http.plain_exchange import connection_environ
from kvstore.http.plain_head import PLAIN_BYTES, PLAIN_HEADERS, read_plain_head

PUT = (
    b"PUT /put/a%2Fb:c;d@e?f=1?g HTTP/1.1\r\nHost: h:1\r\ncontent-type:application/json\r\n"
    b'If-Match: "1" , W/"2"\r\nContent-Length: 3\r\n\r\n{}\n'
)
CLIENT, SERVER, CONNECTION = ("127.0.0.1", 1), ("127.0.0.1", 2), object()
NEWER = "GET /get/k HTTP/1.1\r\nHost: h\r\n"


def gunicorn_reads(data: bytes) -> tuple[dict[str, Any], bytes]:
    """What gunicorn makes of the bytes: the environment, and the body.

    :raises Exception: it refuses them, or waits for more.
    """
    config = Config()
    config.set("http_parser", "python")
    config.set("forwarded_allow_ips", "")
    request = Request(config, IterUnreader([data]), CLIENT)
    _, environ = create(request, CONNECTION, CLIENT, SERVER, config)  # type: ignore[call-overload]
    return environ, environ["wsgi.input"].read()


def test_the_plain_head_that_clients_send() -> None:
    head = read_plain_head(PUT)
    assert head is not None
    assert head.environ["PATH_INFO"] == "/put/a/b:c;d@e"
    assert head.environ["QUERY_STRING"] == "f=1?g"
    assert head.environ["HTTP_IF_MATCH"] == '"1" , W/"2"'
    assert (PUT[head.size :], head.length, head.keep_alive) == (b"{}\n", 3, True)


PIECES = [
    *(b"PUT", b"GET", b"put", b" ", b"  ", b"\t", b"/", b"//", b"/a", b"?", b"#", b"%", b"\x00"),
    *(b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b":", b": ", b"\xe9", b"\x7f"),
    *(b"Host: h", b"X_Y: 1", b"Content-Length: ", b"1", b"+1", b"Transfer-Encoding: chunked"),
    *(b"Expect: 100-continue", b"Connection: close", b"X-Forwarded-Proto: https", b"a, b"),
]


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """A plain request with a few pieces put into it, or out of it."""
    data = draw(st.sampled_from([PUT, NEWER.encode() + b"\r\n"]))
    for _ in range(draw(st.integers(0, 4))):
        begin = draw(st.integers(0, len(data)))
        end = begin + draw(st.sampled_from([0, 0, 1, 2, 9]))
        data = data[:begin] + draw(st.sampled_from(PIECES)) + data[end:]
    return data


@settings(max_examples=1500, deadline=None)
@given(nearly_plain())
@example(PUT)
def test_what_is_read_is_what_gunicorn_reads(data: bytes) -> None:
    head = read_plain_head(data)
    if head is None:
        return
    environ = connection_environ(Config(), CONNECTION, CLIENT, SERVER) | head.environ
    body = data[head.size :][: head.length]
    expected, expected_body = gunicorn_reads(data)
    for differs in ("wsgi.input", "wsgi.errors", "wsgi.early_hints", "wsgi.multithread"):
        environ.pop(differs, None)
        expected.pop(differs, None)
    assert (environ, body) == (expected, expected_body)


@pytest.mark.parametrize(
    "head",
    [
        NEWER,
        f"{NEWER}Host: g\r\n\r\n",
        f"{NEWER}Transfer-Encoding: chunked\r\n\r\n",
        f"{NEWER}Expect: 100-continue\r\n\r\n",
        f"{NEWER}X_Y: 1\r\n\r\n",
        f"{NEWER}X: \xe9\r\n\r\n",
        f"{NEWER}X: 1\r\n 2\r\n\r\n",
        f"{NEWER}X: 1 \r\n\r\n",
        f"{NEWER}X :1\r\n\r\n",
        f"{NEWER}X: \r\n\r\n",
        f"{NEWER}X: 1\n\r\n",
        f"{NEWER}Content-Length: +1\r\n\r\n",
        f"{NEWER}X-Forwarded-Proto: https\r\n\r\n",
        f"\r\n{NEWER}\r\n",
        f"{NEWER}X: {'x' * PLAIN_BYTES}\r\n\r\n",
        NEWER + "".join(f"X{i}: 1\r\n" for i in range(PLAIN_HEADERS)) + "\r\n",
        "GET //get/k HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /get/k#f HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET http://h/get/k HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /get/k HTTP/1.0\r\nHost: h\r\n\r\n",
        "HEAD /get/k HTTP/1.1\r\nHost: h\r\n\r\n",
        "GET /get/k HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_gunicorn(head: str) -> None:
    assert read_plain_head(head.encode("latin-1")) is None
