"""Answers to a client, taken apart; each function says which kind of answer it must be."""

import requests

from kvstore.api_types import Found, NotFound, OutcomeOpen, Refused, Written
from kvstore.client.node_client import Body, decode


def confirmed(answer: requests.Response) -> Written:
    """The answer to a write that is confirmed."""
    return _of_status(200, answer, Written)


def left_open(answer: requests.Response) -> OutcomeOpen:
    """The answer to a write whose outcome is open."""
    return _of_status(504, answer, OutcomeOpen)


def open_version(answer: requests.Response) -> int:
    """The version of a write that is in the leader's log, and whose outcome is open."""
    version = left_open(answer).version
    assert version is not None, answer.text
    return version


def refused(answer: requests.Response) -> Refused:
    """The answer to a write that never happens."""
    return _of_status(503, answer, Refused)


def found(answer: requests.Response) -> Found:
    """The answer to a read of a key that exists."""
    return _of_status(200, answer, Found)


def is_absent(answer: requests.Response) -> bool:
    """Whether a read says that there is no such key."""
    return answer.status_code == 404 and decode(answer, NotFound) is not None


def _of_status(status: int, answer: requests.Response, kind: type[Body]) -> Body:
    assert answer.status_code == status, answer.text
    return decode(answer, kind)
