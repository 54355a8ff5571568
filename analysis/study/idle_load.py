"""One client that writes at a low fixed rate, so that a write meets no other."""

import time
from collections.abc import Callable

import msgspec
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from analysis.study.request_log import RequestLogWriter
from analysis.study.write_plan import Write, WritePlan, why_not_confirmed
from kvstore.api_types import Written

_HEADERS = {"Content-Type": "application/json"}
_AWAKE_S = 0.0003


class IdleClient:
    """The client.

    :param leader: its connection to the leader.
    :param per_s: writes per second.
    :param on_answer: called after each answer.
    """

    def __init__(self, leader: HTTPClient, per_s: float, on_answer: Callable[[], None]) -> None:
        self._leader = leader
        self._interval_s = 1 / per_s
        self._on_answer = on_answer
        self._to_unix_s = time.time() - time.monotonic()

    def write(self, plan: WritePlan, writes: int, write_quorum: int, log: RequestLogWriter) -> None:
        """Make the next writes of a plan.

        The time of a write counts from the moment at which it was due, also when the one before it
        was answered too late for that: otherwise a slow answer would hide what it does to the next
        writes (*coordinated omission*).

        :param writes: how many; the plan has them left.
        :param write_quorum: the quorum in force.
        :param log: where each write is recorded.
        """
        start_s = time.monotonic()
        for number in range(1, writes + 1):
            write = plan.take()
            assert write is not None, "as many as it holds"
            self._write(write, start_s + number * self._interval_s, write_quorum, log)
            self._on_answer()

    def _write(self, write: Write, due_s: float, write_quorum: int, log: RequestLogWriter) -> None:
        body = msgspec.json.encode({"value": write.value})
        _wait_until(due_s)
        try:
            # POST, not PUT: the client silently repeats a PUT whose connection was lost.
            answer = self._leader.post(write.path, body, _HEADERS)
            status, content = answer.status_code, bytes(answer.read())
        except (OSError, HTTPParseError):
            status, content = 0, b""
        latency_ms = 1000 * (time.monotonic() - due_s)
        failure = why_not_confirmed(status, content, write.key, write_quorum)
        version = None if failure else msgspec.json.decode(content, type=Written).version
        log.add(due_s + self._to_unix_s, latency_ms, write.key, version, failure)


def _wait_until(due_s: float) -> None:
    """Sleep, and watch the clock for the last moment: a sleep ends up to 0.1 ms late."""
    time.sleep(max(due_s - _AWAKE_S - time.monotonic(), 0))
    while time.monotonic() < due_s:
        pass
