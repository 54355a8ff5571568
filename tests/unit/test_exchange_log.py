"""The bounded record of exchanges."""

import pytest

from kvstore.node import exchange_log
from kvstore.node.delay import HeldBack
from kvstore.node.exchange_log import ExchangeLog
from tests.support.replication import append, entries

MESSAGE = append(*entries(2))


def numbers(log: ExchangeLog, after: int) -> list[int]:
    return [each.number for each in log.after(after)]


def test_only_the_newest_are_kept_and_a_reader_sees_the_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exchange_log, "KEPT", 3)
    log = ExchangeLog()
    for _ in range(5):
        log.add("a:1", MESSAGE, HeldBack(0.5, 1.0, 1.5), 2.0)
    assert numbers(log, 0) == [3, 4, 5]
    assert numbers(log, 1) == [3, 4, 5]
    assert numbers(log, 4) == [5]
    assert numbers(log, 5) == []
    assert numbers(log, 9) == []
