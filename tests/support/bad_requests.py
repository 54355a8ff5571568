"""Bad requests as bytes, because no HTTP library would send most of them."""

from dataclasses import dataclass

from analysis.nodes.node import Node

BODY = b'{"value": 1}'
MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 1 << 20


def request(
    method: str, target: str, body: bytes = b"", *headers: str, version: str = "HTTP/1.1"
) -> bytes:
    """A request with a Host header and, if it has a body, the length of that."""
    lines = [f"{method} {target} {version}", "Host: node", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def with_headers(*headers: str, body: bytes = BODY) -> bytes:
    """A put with exactly these headers."""
    head = "\r\n".join(["PUT /put/known HTTP/1.1", *headers])
    return head.encode("latin-1") + b"\r\n\r\n" + body


def put(body: bytes) -> bytes:
    return request("PUT", "/put/known", body)


def chunked(body: bytes) -> bytes:
    return with_headers("Host: node", "Transfer-Encoding: chunked", body=body)


def admin(route: str, body: bytes) -> bytes:
    return request("POST", f"/admin/{route}", body)


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


# Refused by the server, before any route: the same on both nodes.
NO_HTTP = {
    "binary garbage": Bad(bytes(range(256)) * 4 + b"\r\n\r\n"),
    "TLS to a plain port": Bad(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "HTTP/0.9": Bad(b"GET /status\r\n\r\n"),
    "HTTP/2 preface": Bad(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.9e9": Bad(request("GET", "/status", version="HTTP/1.9999999999")),
    "no version": Bad(b"GET /status \r\n\r\n"),
    "bare line feeds": Bad(b"GET /status HTTP/1.1\nHost: node\n\n"),
    "method in lower case": Bad(request("put", "/put/known", BODY)),
    "method that is none": Bad(request("P(T", "/put/known", BODY)),
    "method of 5,000 letters": Bad(request("P" * 5000, "/put/known", BODY)),
    "target without a slash": Bad(request("PUT", "put/known", BODY)),
    "target that is a star": Bad(request("PUT", "*", BODY)),
    "target that is not ASCII": Bad(b"PUT /put/\xc3\xa9 HTTP/1.1\r\nHost: node\r\n\r\n"),
    "request line over its limit": Bad(request("GET", "/get/" + "k" * 9000), 414),
    "header over its limit": Bad(request("GET", "/livez", b"", "X: " + "x" * 9000), 431),
    "more headers than allowed": Bad(request("GET", "/livez", b"", *["X: x"] * 200), 431),
    "header without a colon": Bad(request("GET", "/livez", b"", "Authorization Bearer t")),
    "header with a NUL": Bad(request("GET", "/livez", b"", "X: a\0b")),
    "folded header": Bad(request("GET", "/livez", b"", "X: a", " b")),
    "two hosts": Bad(request("PUT", "/put/known", BODY, "Host: other")),
    "no host": Bad(with_headers(f"Content-Length: {len(BODY)}")),
    "unknown expectation": Bad(request("PUT", "/put/known", BODY, "Expect: cookies"), 417),
    "length that is a word": Bad(with_headers("Host: node", "Content-Length: twelve")),
    "negative length": Bad(with_headers("Host: node", "Content-Length: -12")),
    "empty length": Bad(with_headers("Host: node", "Content-Length:")),
    "length of 5,000 digits": Bad(with_headers("Host: node", "Content-Length: " + "9" * 5000)),
    "two lengths": Bad(with_headers("Host: node", "Content-Length: 12", "Content-Length: 11")),
    "the same length twice": Bad(with_headers("Host: node", *["Content-Length: 12"] * 2)),
    "length and chunks": Bad(
        with_headers("Host: node", "Content-Length: 12", "Transfer-Encoding: chunked")
    ),
    "unknown coding": Bad(with_headers("Host: node", "Transfer-Encoding: knotted")),
    "coding that hides the length": Bad(with_headers("Host: node", "Transfer-Encoding: gzip")),
}

# Refused by every node alike, whatever its role.
BAD_TARGETS = {
    "no route": Bad(request("GET", "/"), 404),
    "no such route": Bad(request("PUT", "/puts/known", BODY), 404),
    "no key": Bad(request("PUT", "/put/", BODY), 404),
    "route in capitals": Bad(request("PUT", "/PUT/known", BODY), 404),
    "route with a slash behind": Bad(request("POST", "/admin/set_quorum/", b'{"quorum": 0}'), 404),
    "GET of a write": Bad(request("GET", "/put/known"), 405),
    "POST of a resource": Bad(request("POST", "/kv/known", BODY), 405),
    "CONNECT": Bad(request("CONNECT", "node:80"), 404),
    "unknown method": Bad(request("BREW", "/kv/known", BODY), 405),
    "GET of a message": Bad(request("GET", "/replicate"), 405),
    "bare percent sign": Bad(request("PUT", "/put/100%", BODY)),
    "percent sign before no digits": Bad(request("PUT", "/put/%zz", BODY)),
    "invalid UTF-8": Bad(request("PUT", "/put/%FF%FE", BODY)),
    "bare hash sign": Bad(request("PUT", "/put/known#2", BODY)),
    "bare question mark": Bad(request("PUT", "/put/known?", BODY)),
    "query on a write": Bad(request("PUT", "/put/known?value=2", BODY)),
    "unknown query parameter": Bad(request("GET", "/get/known?version=1")),
    "min_version twice": Bad(request("GET", "/get/known?min_version=1&min_version=1")),
    "min_version that is a word": Bad(request("GET", "/get/known?min_version=newest")),
    "min_version with a sign": Bad(request("GET", "/get/known?min_version=+1")),
    "min_version of 19 digits": Bad(request("GET", "/get/known?min_version=" + "9" * 19)),
    "long key": Bad(request("GET", "/get/" + "k" * (MAX_KEY_BYTES + 1))),
    "If-Match that is no tag, on a read": Bad(request("GET", "/kv/known", b"", "If-Match: junk")),
}

# Writes: a follower refuses them all, and names the leader.
BAD_WRITES = {
    name: Bad(raw, leader, follower=403)
    for name, (raw, leader) in {
        "no body": (request("PUT", "/put/known"), 400),
        "no JSON": (put(b"value=1"), 400),
        "list": (put(b"[1]"), 400),
        "no value": (put(b"{}"), 400),
        "value under another name": (put(b'{"Value": 1}'), 400),
        "a million levels": (put(b'{"value":' + b"[" * 500_000 + b"]" * 500_000 + b"}"), 400),
        "long key": (request("PUT", "/put/" + "k" * (MAX_KEY_BYTES + 1), BODY), 400),
        "long key to delete": (request("DELETE", "/delete/" + "k" * (MAX_KEY_BYTES + 1)), 400),
        "large value": (put(b'{"value": "' + b"x" * (MAX_VALUE_BYTES - 1) + b'"}'), 413),
        "large body": (put(BODY + b" " * (4 * MAX_VALUE_BYTES)), 413),
        "length of 4,000 digits": (
            with_headers("Host: node", "Content-Length: " + "9" * 4000),
            413,
        ),
        "large chunked body": (chunked(b"%x\r\n" % (1 << 23) + b" " * (1 << 23)), 413),
        # Read up to the limit only, this would be the good request before the "x".
        "large chunked body that begins well": (
            chunked(b"400000\r\n" + BODY + b" " * ((1 << 22) - len(BODY) - 1) + b"x\r\n0\r\n\r\n"),
            413,
        ),
        "chunk size that is none": (chunked(b"xyz\r\n" + BODY), 400),
        "negative chunk size": (chunked(b"-c\r\n" + BODY), 400),
        "chunk longer than its size": (chunked(b"2\r\n" + BODY + b"\r\n0\r\n\r\n"), 400),
        "chunk size without an end": (chunked(b"f" * 20_000), 400),
        "trailer that changes the length": (
            chunked(b"c\r\n" + BODY + b"\r\n0\r\nContent-Length: 1\r\n\r\n"),
            400,
        ),
        "coding before chunked": (
            with_headers(
                "Host: node",
                "Transfer-Encoding: gzip, chunked",
                body=b"c\r\n" + BODY + b"\r\n0\r\n\r\n",
            ),
            400,
        ),
        "body on a delete that is too large": (
            request("DELETE", "/kv/known", b" " * 10_000),
            413,
        ),
        "empty Idempotency-Key": (request("PUT", "/kv/known", BODY, "Idempotency-Key:"), 400),
        "long Idempotency-Key": (
            request("PUT", "/kv/known", BODY, "Idempotency-Key: " + "k" * 256),
            400,
        ),
        "Idempotency-Key with a space": (
            request("DELETE", "/kv/known", b"", "Idempotency-Key: a b"),
            400,
        ),
        "Idempotency-Key that is not ASCII": (
            request("PUT", "/put/known", BODY, "Idempotency-Key: \xe9"),
            400,
        ),
        "If-Match that is no tag": (request("PUT", "/kv/known", BODY, "If-Match: 1"), 400),
        "If-Match of star and tag": (request("PUT", "/kv/known", BODY, 'If-Match: *, "1"'), 400),
        "If-None-Match that is no tag": (
            request("PUT", "/kv/known", BODY, "If-None-Match: none"),
            400,
        ),
        "quorum that is a word": (admin("set_quorum", b'{"quorum": "1"}'), 400),
        "quorum that is true": (admin("set_quorum", b'{"quorum": true}'), 400),
        "negative quorum": (admin("set_quorum", b'{"quorum": -1}'), 400),
        "quorum above the followers": (admin("set_quorum", b'{"quorum": 2}'), 400),
        "large admin body": (admin("set_quorum", b'{"quorum": 0}' + b" " * 70_000), 413),
        "delay that is a word": (admin("set_delay", b'{"min_ms": "0", "max_ms": 1}'), 400),
        "delay that is NaN": (admin("set_delay", b'{"min_ms": 0, "max_ms": NaN}'), 400),
        "negative delay": (admin("set_delay", b'{"min_ms": -0.1, "max_ms": 1}'), 400),
        "delay the wrong way round": (admin("set_delay", b'{"min_ms": 2, "max_ms": 1}'), 400),
        "delay of REPL_TIMEOUT": (admin("set_delay", b'{"min_ms": 0, "max_ms": 2000}'), 400),
        "force_start where nobody is waited for": (admin("force_start", b""), 409),
    }.items()
}

# They end before what they announced; a follower refuses them as writes.
CUT_OFF = {
    "body": put(BODY)[:-1],
    "body of a delete": with_headers("Host: node", "Content-Length: 5", body=b"{}").replace(
        b"PUT /put", b"DELETE /kv"
    ),
    "body of force_start": request("POST", "/admin/force_start", b"{}")[:-1],
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
