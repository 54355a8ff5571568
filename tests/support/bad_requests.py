"""Bad requests as bytes, because no HTTP library would send most of them."""

from dataclasses import dataclass

from analysis.nodes.http_stream import request
from analysis.nodes.node import Node

BODY = b'{"value": 1}'
MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 1 << 20

LONG_KEY = "k" * (MAX_KEY_BYTES + 1)
LARGE_CHUNK = 4 * MAX_VALUE_BYTES


def put(body: bytes, *headers: str) -> bytes:
    return request("PUT", "/put/known", body, *headers)


def framed(*headers: str, body: bytes = BODY) -> bytes:
    """A put with exactly these headers about its body."""
    return request("PUT", "/put/known", b"", *headers) + body


def chunked(body: bytes) -> bytes:
    return framed("Transfer-Encoding: chunked", body=body)


def admin(route: str, body: bytes) -> bytes:
    return request("POST", f"/admin/{route}", body)


def batch(*operations: bytes, header: str = "X: x") -> bytes:
    return request("POST", "/batch", b'{"operations":[%b]}' % b",".join(operations), header)


PUT = b'{"operation":"put","key":"known","value":1}'


@dataclass(frozen=True)
class Bad:
    """A bad request.

    :param raw: what is sent.
    :param leader: status of the leader's answer.
    :param follower: status of the follower's answer, when it is not the leader's.
    """

    raw: bytes
    leader: int = 400
    follower: int | None = None

    def status(self, node: Node) -> int:
        return self.leader if self.follower is None or node.name == "leader" else self.follower


def _bad(by_status: dict[int, dict[str, bytes]], follower: int | None = None) -> dict[str, Bad]:
    return {
        name: Bad(raw, status, follower)
        for status, named in by_status.items()
        for name, raw in named.items()
    }


# Refused by the server, before any route: the same on both nodes.
NO_HTTP = _bad(
    {
        400: {
            "binary garbage": bytes(range(256)) * 4 + b"\r\n\r\n",
            "TLS to a plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
            "HTTP/0.9": b"GET /status\r\n\r\n",
            "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "HTTP/1.9e9": request("GET", "/status", version="HTTP/1.9999999999"),
            "no version": b"GET /status \r\n\r\n",
            "bare line feeds": b"GET /status HTTP/1.1\nHost: node\n\n",
            "method in lower case": request("put", "/put/known", BODY),
            "method that is none": request("P(T", "/put/known", BODY),
            "method of 5,000 letters": request("P" * 5000, "/put/known", BODY),
            "target without a slash": request("PUT", "put/known", BODY),
            "target that is a star": request("PUT", "*", BODY),
            "target that is not ASCII": request("PUT", "/put/\xc3\xa9", BODY),
            "header without a colon": request("GET", "/livez", b"", "Authorization Bearer t"),
            "header with a NUL": request("GET", "/livez", b"", "X: a\0b"),
            "folded header": request("GET", "/livez", b"", "X: a", " b"),
            "two hosts": put(BODY, "Host: other"),
            "no host": b"GET /livez HTTP/1.1\r\n\r\n",
            "length that is a word": framed("Content-Length: twelve"),
            "negative length": framed("Content-Length: -12"),
            "empty length": framed("Content-Length:"),
            "length of 5,000 digits": framed("Content-Length: " + "9" * 5000),
            "two lengths": framed("Content-Length: 12", "Content-Length: 11"),
            "the same length twice": framed(*["Content-Length: 12"] * 2),
            "length and chunks": framed("Content-Length: 12", "Transfer-Encoding: chunked"),
            "unknown coding": framed("Transfer-Encoding: knotted"),
            "coding that hides the length": framed("Transfer-Encoding: gzip"),
        },
        414: {"request line over its limit": request("GET", "/get/" + "k" * 9000)},
        417: {"unknown expectation": put(BODY, "Expect: cookies")},
        431: {
            "header over its limit": request("GET", "/livez", b"", "X: " + "x" * 9000),
            "more headers than allowed": request("GET", "/livez", b"", *["X: x"] * 200),
        },
    }
)

# Refused by every node alike, whatever its role.
BAD_TARGETS = _bad(
    {
        400: {
            "bare percent sign": request("PUT", "/put/100%", BODY),
            "percent sign before no digits": request("PUT", "/put/%zz", BODY),
            "invalid UTF-8": request("PUT", "/put/%FF%FE", BODY),
            "bare hash sign": request("PUT", "/put/known#2", BODY),
            "bare question mark": request("PUT", "/put/known?", BODY),
            "query on a write": request("PUT", "/put/known?value=2", BODY),
            "unknown query parameter": request("GET", "/get/known?version=1"),
            "min_version twice": request("GET", "/get/known?min_version=1&min_version=1"),
            "min_version with a sign": request("GET", "/get/known?min_version=+1"),
            "min_version of 19 digits": request("GET", "/get/known?min_version=" + "9" * 19),
            "long key to read": request("GET", f"/get/{LONG_KEY}"),
            "no tag in the If-Match of a read": request("GET", "/kv/known", b"", "If-Match: junk"),
        },
        404: {
            "no route": request("GET", "/"),
            "no such route": request("PUT", "/puts/known", BODY),
            "no key": request("PUT", "/put/", BODY),
            "route in capitals": request("PUT", "/PUT/known", BODY),
            "slash behind a route": request("POST", "/admin/set_quorum/", b'{"quorum": 0}'),
            "CONNECT": request("CONNECT", "node:80"),
        },
        405: {
            "GET of a write": request("GET", "/put/known"),
            "POST of a resource": request("POST", "/kv/known", BODY),
            "unknown method": request("BREW", "/kv/known", BODY),
            "GET of a message": request("GET", "/replicate"),
        },
    }
)

# Writes: a follower refuses them all, and names the leader.
BAD_WRITES = _bad(
    {
        400: {
            "no body": put(b""),
            "no JSON": put(b"value=1"),
            "list": put(b"[1]"),
            "no value": put(b"{}"),
            "value under another name": put(b'{"Value": 1}'),
            "a million levels": put(b'{"value":' + b"[" * 500_000 + b"]" * 500_000 + b"}"),
            "long key": request("PUT", f"/put/{LONG_KEY}", BODY),
            "long key to delete": request("DELETE", f"/delete/{LONG_KEY}"),
            "chunk size that is none": chunked(b"xyz\r\n" + BODY),
            "negative chunk size": chunked(b"-c\r\n" + BODY),
            "chunk longer than its size": chunked(b"2\r\n" + BODY + b"\r\n0\r\n\r\n"),
            "chunk size without an end": chunked(b"f" * 20_000),
            "trailer that changes the length": chunked(
                b"c\r\n" + BODY + b"\r\n0\r\nContent-Length: 1\r\n\r\n"
            ),
            "coding before chunked": framed(
                "Transfer-Encoding: gzip, chunked", body=b"c\r\n" + BODY + b"\r\n0\r\n\r\n"
            ),
            "empty Idempotency-Key": put(BODY, "Idempotency-Key:"),
            "long Idempotency-Key": put(BODY, "Idempotency-Key: " + "k" * 256),
            "Idempotency-Key with a space": put(BODY, "Idempotency-Key: a b"),
            "Idempotency-Key that is not ASCII": put(BODY, "Idempotency-Key: \xe9"),
            "If-Match that is no tag": put(BODY, "If-Match: 1"),
            "If-Match of star and tag": put(BODY, 'If-Match: *, "1"'),
            "If-None-Match that is no tag": put(BODY, "If-None-Match: none"),
            "batch of nothing": batch(),
            "batch of 1,001 operations": batch(*[PUT] * 1001),
            "batch that ends with no operation": batch(PUT, b"1"),
            "batch with a put without a value": batch(PUT, b'{"operation":"put","key":"k"}'),
            "batch with a long key": batch(PUT, PUT.replace(b"known", LONG_KEY.encode())),
            "batch with an unknown condition": batch(PUT[:-1] + b',"if_matches":1}'),
            "batch with a list of versions": batch(PUT[:-1] + b',"if_match":[1]}'),
            "batch with an empty Idempotency-Key": batch(PUT, header="Idempotency-Key:"),
            "quorum that is true": admin("set_quorum", b'{"quorum": true}'),
            "quorum above the followers": admin("set_quorum", b'{"quorum": 2}'),
            "delay that is NaN": admin("set_delay", b'{"min_ms": 0, "max_ms": NaN}'),
            "negative delay": admin("set_delay", b'{"min_ms": -0.1, "max_ms": 1}'),
            "delay the wrong way round": admin("set_delay", b'{"min_ms": 2, "max_ms": 1}'),
            "delay for nobody's follower": admin(
                "set_delay", b'{"min_ms": 0, "max_ms": 1, "follower": "nobody:1"}'
            ),
            "delay for a number": admin("set_delay", b'{"min_ms": 0, "max_ms": 1, "follower": 1}'),
            "delay beyond REPL_TIMEOUT": admin("set_delay", b'{"min_ms": 0, "max_ms": 1e6}'),
        },
        409: {"force_start where nobody is waited for": admin("force_start", b"")},
        413: {
            "large value": put(b'{"value": "' + b"x" * (MAX_VALUE_BYTES - 1) + b'"}'),
            "large batch": batch(*[PUT[:-2] + b'"' + b"x" * MAX_VALUE_BYTES + b'"}'] * 2),
            "large body": put(BODY + b" " * LARGE_CHUNK),
            "length of 4,000 digits": framed("Content-Length: " + "9" * 4000),
            "large chunk": chunked(b"%x\r\n" % (2 * LARGE_CHUNK) + b" " * (2 * LARGE_CHUNK)),
            # Read up to the limit only, this would be the good request before the "x".
            "large chunk that begins well": chunked(
                b"%x\r\n%b%bx\r\n0\r\n\r\n"
                % (LARGE_CHUNK, BODY, b" " * (LARGE_CHUNK - len(BODY) - 1))
            ),
            "large body of a delete": request("DELETE", "/kv/known", b" " * 10_000),
            "large admin body": admin("set_quorum", b'{"quorum": 0}' + b" " * 70_000),
        },
    },
    follower=403,
)

BAD_REQUESTS = NO_HTTP | BAD_TARGETS | BAD_WRITES

# They end before what they announced; a follower refuses them as writes.
CUT_OFF = {
    "body": put(BODY)[:-1],
    "body of a batch": batch(PUT)[:-1],
    "body of a delete": request("DELETE", "/kv/known", b"{}   ")[:-3],
    "body of force_start": admin("force_start", b"{}")[:-1],
    "body in chunks": chunked(b"c\r\n" + BODY + b"\r\n"),
    "chunk": chunked(b"c\r\n" + BODY[:5]),
}

# At the limits, and strange, but good; by the key that each writes.
JUST_GOOD = {
    "longest key": ("k" * MAX_KEY_BYTES, BODY),
    "longest key of long characters": ("€" * (MAX_KEY_BYTES // 3), BODY),
    "key with a NUL": ("a\0b", BODY),
    "largest value": ("k", b'{"value": "' + b"x" * (MAX_VALUE_BYTES - 2) + b'"}'),
    "much white space": ("k", BODY + b" " * MAX_VALUE_BYTES),
    "deepest value": ("k", b'{"value":' + b"[" * 99 + b"]" * 99 + b"}"),
    "largest number": ("k", b'{"value": 1.7976931348623157e308}'),
    "whole number of 300 digits": ("k", b'{"value": -1' + b"0" * 299 + b"}"),
    "other members": ("k", b'{"other": [], "value": null}'),
}
