"""Values out of bodies, small ones at once and large ones in a process."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import gevent
import psutil
import pytest

from kvstore.core.errors import DefiniteError, InvalidRequest, TooLarge, WriteRefused
from kvstore.http.parser_pool import PARSE_TIMEOUT_S, PARSERS, SMALL_BYTES, ParserPool
from kvstore.http.parser_process import value_of
from tests.support.waiting import wait_until

MAX_BYTES = 1 << 20
LARGE = b'{"value":[%b]}' % b",".join([b"0"] * SMALL_BYTES)


@pytest.fixture
def pool() -> Iterator[ParserPool]:
    made = ParserPool()
    yield made
    for parser in made._idle:
        parser.kill()
    wait_for_parsers(0)


def parsers() -> list[psutil.Process]:
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.NoSuchProcess):
            if "kvstore.http.parser_process" in child.cmdline():
                found.append(child)
    return found


def wait_for_parsers(count: int) -> None:
    def why_not() -> str | None:
        gevent.sleep(0.001)
        return None if len(parsers()) == count else f"{len(parsers())} are there"

    wait_until(why_not)


def outcome(body: list[bytes], pool: ParserPool | None = None) -> bytes | tuple[type, str]:
    try:
        if pool is None:
            return value_of(b"".join(body), MAX_BYTES)
        return bytes(pool.parse(value_of, body, MAX_BYTES))
    except DefiniteError as error:
        return type(error), str(error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"value": {"b": [1.50, 1e3], "a": "\\u00e9"}}', None),
        ('{"a": 1, "value": "é😀"}'.encode(), None),
        (b'{"value": null}', None),
        (b'["value"]', InvalidRequest),
        (b'{"other": 1}', InvalidRequest),
        (b'{"value": 1', InvalidRequest),
        (b'{"value": "\xff"}', InvalidRequest),
        (b'{"value": "\\ud800"}', InvalidRequest),
        (b'{"value": 1, "value": 2}', InvalidRequest),
        (b'{"value": [1e999]}', InvalidRequest),
        (b'{"value": "%b"}' % (b"x" * (MAX_BYTES - 1)), TooLarge),
        (b'{"value": "%b"}' % (b"x" * (MAX_BYTES - 2)), None),
        (b'{"value": 1' + b" " * (2 * MAX_BYTES) + b"]", InvalidRequest),
    ],
    ids=lambda value: repr(value[:24]) if isinstance(value, bytes) else "",
)
def test_the_same_at_once_and_in_a_process(
    pool: ParserPool, body: bytes, kind: type[DefiniteError] | None
) -> None:
    expected = outcome([body])
    assert (None if isinstance(expected, bytes) else expected[0]) == kind
    if len(body) <= SMALL_BYTES:
        assert outcome([body], pool) == expected
        assert parsers() == []
    spaces = b" " * SMALL_BYTES
    assert outcome([spaces, body[:5], body[5:]], pool) == outcome([spaces + body])
    assert len(parsers()) == 1


@pytest.mark.parametrize("dies", [True, False])
def test_a_parser_that_does_not_answer_refuses_its_body_only(pool: ParserPool, dies: bool) -> None:
    pool.parse(value_of, [LARGE], MAX_BYTES)
    (first,) = parsers()
    first.suspend()
    pool.parse_timeout_s = PARSE_TIMEOUT_S if dies else 0.05
    broken = gevent.spawn(outcome, [LARGE], pool)
    gevent.sleep(0.01)
    if dies:
        first.kill()
    assert broken.get() == (WriteRefused, "the body could not be parsed")
    pool.parse_timeout_s = PARSE_TIMEOUT_S
    assert bytes(pool.parse(value_of, [LARGE], MAX_BYTES)) == value_of(LARGE, MAX_BYTES)
    wait_for_parsers(1)
    assert parsers() != [first]


def test_bodies_do_not_wait_for_ever(pool: ParserPool) -> None:
    held = [gevent.spawn(pool.parse, value_of, [LARGE], MAX_BYTES) for _ in range(PARSERS)]
    gevent.sleep(0)
    pool.wait_s = 0.0
    refused = (WriteRefused, "too many large bodies are being parsed")
    assert outcome([LARGE], pool) == refused
    assert outcome([b'{"value":1}'], pool) == b"1", "a small one needs no process"
    assert len(parsers()) == PARSERS
    assert {bytes(each.get()) for each in held} == {value_of(LARGE, MAX_BYTES)}


def test_a_parser_ends_with_the_node_only(pool: ParserPool) -> None:
    pool.parse(value_of, [LARGE], MAX_BYTES)
    (process,) = parsers()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        os.kill(process.pid, number)
    assert bytes(pool.parse(value_of, [LARGE], MAX_BYTES)) == value_of(LARGE, MAX_BYTES)
    assert parsers() == [process]
    pool._idle.pop()._socket.close()
    process.wait(timeout=20)


def test_a_parser_that_was_killed_while_it_was_idle_is_replaced(pool: ParserPool) -> None:
    expected = outcome([LARGE], pool)
    (process,) = parsers()
    process.kill()
    process.wait()
    assert outcome([LARGE], pool) == expected
    assert [each.pid for each in parsers()] != [process.pid]
