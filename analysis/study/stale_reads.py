"""Reads from the followers during a load, and how old what they return is."""

import csv
import random
import threading
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import urlsplit

import msgspec
import numpy as np
from geventhttpclient import HTTPClient
from geventhttpclient.response import HTTPParseError

from analysis.study.request_log import RequestLog
from kvstore.api_types import Found
from kvstore.client.node_client import key_path

READS_PER_S = 20.0
"""From each follower: enough to see, too few to slow the load down."""
_TIMEOUT_S = 5.0
_COLUMNS = ("started_s", "follower", "key", "version")


class Read(NamedTuple):
    """One read.

    :param started_s: Unix time at which it was sent, in seconds.
    :param follower: URL of the follower that answered.
    :param version: of the value that was returned; 0 = the key was not found.
    """

    started_s: float
    follower: str
    key: str
    version: int


class Readers:
    """One thread for each follower, which reads random keys at a fixed rate, as a context manager.

    :param follower_urls: base URLs.
    :param keys: what to read.
    :param seed: of the keys' order.
    """

    def __init__(self, follower_urls: Sequence[str], keys: Sequence[str], seed: int) -> None:
        self._keys = keys
        self._end = threading.Event()
        self._found: list[list[Read]] = [[] for _ in follower_urls]
        self._threads = [
            threading.Thread(target=self._read, args=(url, random.Random(f"{seed}{url}"), found))
            for url, found in zip(follower_urls, self._found, strict=True)
        ]

    @property
    def reads(self) -> list[Read]:
        """All reads that were answered, in the order in which they were sent."""
        return sorted(read for found in self._found for read in found)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _read(self, url: str, order: random.Random, found: list[Read]) -> None:
        client = connect(url)
        while not self._end.wait(order.uniform(0, 2 / READS_PER_S)):
            key = order.choice(self._keys)
            started_s = time.time()
            # A follower that is down answers nothing; then there is no read to judge.
            with suppress(OSError, HTTPParseError, ValueError):
                answer = client.get(key_path("get", key))
                body = answer.read()
                if answer.status_code == 404:
                    found.append(Read(started_s, url, key, 0))
                elif answer.status_code == 200:
                    version = msgspec.json.decode(body, type=Found).version
                    found.append(Read(started_s, url, key, version))
        client.close()


def connect(url: str) -> HTTPClient:
    """A client with one connection, which is opened by the first request and kept alive.

    It needs little time of its own: head and body leave in one piece, llhttp reads the answer.

    :param url: base URL.
    """
    parts = urlsplit(url)
    return HTTPClient(
        parts.hostname or "",
        parts.port,
        ssl=parts.scheme == "https",
        concurrency=1,
        connection_timeout=_TIMEOUT_S,
        network_timeout=_TIMEOUT_S,
    )


def save_reads(reads: Sequence[Read], path: Path) -> None:
    """Write reads as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(_COLUMNS)
        rows.writerows((f"{r.started_s:.6f}", r.follower, r.key, r.version) for r in reads)


def load_reads(path: Path) -> list[Read]:
    """Read what :func:`save_reads` has written; a missing file holds none.

    :raises ValueError: the file is damaged.
    """
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        next(rows, None)
        return [Read(float(row[0]), row[1], row[2], int(row[3])) for row in rows]


class Staleness(NamedTuple):
    """How old the reads of a load were.

    A read is stale if a newer version of its key had been confirmed to a writer before it began.

    :param reads: number of reads.
    :param stale: how many of them were stale.
    :param versions_behind: for each stale read, how many confirmed versions it lacked.
    :param behind_ms: for each, how long ago the first of these had been confirmed, in milliseconds.
    """

    reads: int
    stale: int
    versions_behind: tuple[int, ...]
    behind_ms: tuple[float, ...]


def judge_reads(reads: Sequence[Read], log: RequestLog) -> Staleness:
    """Compare what was read with what was confirmed at that time.

    Reads from before the first write and after the last answer do not count.

    :param reads: from nodes whose keys only this load writes.
    :param log: of the load, from the same clock.
    """
    answered: dict[str, list[tuple[float, int]]] = defaultdict(list)
    ended_s = log.started_s + log.latency_ms / 1000
    first_s, last_s = log.started_s.min(initial=np.inf), ended_s.max(initial=-np.inf)
    reads = [read for read in reads if first_s <= read.started_s <= last_s]
    for key, time_s, version in zip(log.keys, ended_s, log.versions, strict=True):
        answered[key].append((float(time_s), int(version)))
    for writes in answered.values():
        writes.sort()
    versions_behind, behind_ms = [], []
    for read in reads:
        writes = answered.get(read.key, [])
        earlier = writes[: bisect_right(writes, (read.started_s, 0))]
        missed = [time_s for time_s, version in earlier if version > read.version]
        if missed:
            versions_behind.append(len(missed))
            behind_ms.append(1000 * (read.started_s - missed[0]))
    return Staleness(len(reads), len(behind_ms), tuple(versions_behind), tuple(behind_ms))
