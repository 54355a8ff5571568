"""Parsing that never blocks the event loop for long: large bodies go to processes of their own."""

import errno
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import gevent
from gevent import socket
from gevent.lock import BoundedSemaphore
from msgspec import Raw

from kvstore.core.errors import WriteRefused
from kvstore.http import parser_process
from kvstore.http.parser_process import ANSWER, KINDS, PARSES, REQUEST, Parse
from kvstore.node.turn import Turn

logger = logging.getLogger("kvstore")

SMALL_BYTES = 16 << 10
"""A body up to this is parsed at once: the worst takes some milliseconds."""
PARSERS = 2
"""How many processes parse at a time; each is started when first needed."""
WAIT_S = 20.0
"""How long a body waits for one of them."""
PARSE_TIMEOUT_S = 120.0
"""Far above what the largest body takes: a process that needs longer is stuck."""

_PART_BYTES = 1 << 20
_PACKAGE_PARENT = Path(__file__).parents[2]


class ParserPool:
    """Takes values and operations out of bodies.

    :param wait_s: how long a large body waits for a process.
    :param parse_timeout_s: how long a process may take for one body.
    """

    def __init__(self, wait_s: float = WAIT_S, parse_timeout_s: float = PARSE_TIMEOUT_S) -> None:
        self.wait_s = wait_s
        self.parse_timeout_s = parse_timeout_s
        self._free = BoundedSemaphore(PARSERS)
        self._idle: list[_Parser] = []

    def parse(self, parse: Parse, body: Sequence[bytes], max_bytes: int) -> Raw:
        """Parse a body as one of ``parser_process.PARSES`` does.

        :param body: its parts.
        :param max_bytes: limit of a value.
        :raises InvalidRequest: the body is not what it should be.
        :raises TooLarge: something in it is over its limit.
        :raises WriteRefused: too many large bodies are being parsed, or this one broke its parser.
        """
        if sum(map(len, body)) <= SMALL_BYTES:
            return Raw(parse(b"".join(body), max_bytes))
        if not self._free.acquire(timeout=self.wait_s):
            raise WriteRefused("too many large bodies are being parsed")
        try:
            with self._parser() as parser:
                kind, text = parser.parse(PARSES.index(parse), body, max_bytes)
        finally:
            self._free.release()
        if kind is not None:
            raise kind(text.decode())
        return Raw(text)

    @contextmanager
    def _parser(self) -> "Iterator[_Parser]":
        try:
            alive = [parser for parser in self._idle if parser.is_alive()]
            self._idle = alive
            parser = alive.pop() if alive else _Parser()
        except OSError as error:
            logger.warning("no process for large bodies could be started: %s", error)
            raise WriteRefused("a large body cannot be parsed now") from None
        try:
            with gevent.Timeout(self.parse_timeout_s, TimeoutError("it took too long")):
                yield parser
        except OSError as error:
            parser.kill()
            logger.warning("the process that parsed a large body failed: %s", error)
            raise WriteRefused("the body could not be parsed") from None
        except BaseException:
            parser.kill()
            raise
        self._idle.append(parser)


class _Parser:
    """One process.

    :raises OSError: it cannot be started.
    """

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            # Unlike a fork this takes no longer in a process that holds much memory.
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-P", "-S", "-m", parser_process.__name__],
                {"PYTHONPATH": str(_PACKAGE_PARENT)},
                file_actions=[(os.POSIX_SPAWN_DUP2, theirs.fileno(), 0)],
            )
            self._pidfd = os.pidfd_open(pid)

    def is_alive(self) -> bool:
        """Whether it still runs."""
        try:
            signal.pidfd_send_signal(self._pidfd, 0)
        except ProcessLookupError:
            self._close()
            return False
        return True

    def parse(
        self, number: int, body: Sequence[bytes], max_bytes: int
    ) -> tuple[type[Exception] | None, bytearray]:
        """Have one body parsed.

        :param number: of what parses it.
        :return: the kind of error or None, and its text or what was taken out of the body.
        :raises OSError: the process ended; it must be killed after any exception.
        """
        self._socket.sendall(REQUEST.pack(number, sum(map(len, body)), max_bytes))
        turn = Turn()
        for part in body:
            self._socket.sendall(part)
            turn.give_way()
        number, size = ANSWER.unpack(self._receive(ANSWER.size))
        return KINDS[number], self._receive(size)

    def kill(self) -> None:
        """End it at once."""
        # Not by its pid: the event loop reaps every child, and the pid may be another's by now.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
        self._close()

    def _close(self) -> None:
        self._socket.close()
        os.close(self._pidfd)

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        turn = Turn()
        while rest:
            count = self._socket.recv_into(rest[:_PART_BYTES])
            if count == 0:
                raise ConnectionResetError(errno.ECONNRESET, "it ended")
            rest = rest[count:]
            turn.give_way()
        return data
