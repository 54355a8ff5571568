"""What is taken out of the bodies of writes, and the program that does it for large bodies.

The program, ``python -m kvstore.http.parser_process``, runs beside the node, because parsing holds
Python's global lock: a thread of the node would stop the event loop too. It takes one body after
another from the socket that is its standard input, and ends when that is closed.
"""

import gc
import os
import signal
import socket
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kvstore.core.errors import InvalidRequest, TooLarge
from kvstore.http import strict_json
from kvstore.http.batch_body import operations_of
from kvstore.http.parentage import end_with_parent

REQUEST = struct.Struct("!BQQ")
"""How to parse the body that follows, as an index into ``PARSES``, its size, limit of a value."""
ANSWER = struct.Struct("!BQ")
"""What follows, as an index into ``KINDS``, and its size."""
KINDS = (None, InvalidRequest, TooLarge)
"""What was taken out of the body, or the text of an error."""

_NICENESS = 5


def value_of(body: bytes, max_bytes: int) -> bytes:
    """Take the value out of a put's body, a JSON object whose ``value`` is what is stored.

    :param max_bytes: limit of the value.
    :return: canonical JSON.
    :raises InvalidRequest: the body is not JSON, or no object with a ``value``.
    :raises TooLarge: the value is over its limit.
    """
    document = strict_json.parse(body)
    if not isinstance(document, dict) or "value" not in document:
        raise InvalidRequest('the body must be an object with a "value"')
    value = strict_json.canonical(document["value"])
    if len(value) > max_bytes:
        raise TooLarge(f"the value is larger than {max_bytes} bytes")
    return value


Parse = Callable[[bytes, int], bytes]
"""Takes what is to be stored out of a body; its second argument is the limit of a value."""
PARSES: tuple[Parse, ...] = (value_of, operations_of)


def main() -> None:
    """Serve until the node closes its end."""
    # Ignore signals to a whole process group, as by Ctrl-C: the node may still need this process.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end_with_parent()  # even while it is stopped, and cannot see the socket close
    os.nice(_NICENESS)  # the event loop goes first
    with suppress(OSError):  # when memory runs out, this is killed and not the node
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    gc.disable()  # JSON has no cycles, and looking for them takes a third of the time
    connection = socket.socket(fileno=sys.stdin.fileno())
    connection.settimeout(None)  # gevent made it non-blocking
    with suppress(OSError):
        serve(connection)


def serve(connection: socket.socket) -> None:
    """Parse one body after another.

    :param connection: blocks; its other end closes it when there is no more.
    """
    requests = connection.makefile("rb")
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        number, size, max_bytes = REQUEST.unpack(head)
        kind, text = _parse(PARSES[number], requests.read(size), max_bytes)
        connection.sendall(ANSWER.pack(KINDS.index(kind), len(text)))
        connection.sendall(text)


def _parse(parse: Parse, body: bytes, max_bytes: int) -> tuple[type[Exception] | None, bytes]:
    try:
        return None, parse(body, max_bytes)
    except (InvalidRequest, TooLarge) as error:
        return type(error), str(error).encode()


if __name__ == "__main__":
    main()
