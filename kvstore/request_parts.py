"""What every route needs of a request: its body within bounds, its key, its parameters."""

import gevent
from flask import request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import RequestEntityTooLarge
from werkzeug.routing import BaseConverter

from kvstore.errors import InvalidRequest, RequestTimeout, TooLarge

BODY_TIMEOUT_S = 20.0


class KeyConverter(BaseConverter):
    """A key is the rest of the path, slashes included."""

    regex = "(?s:.+)"  # a key may hold line breaks
    part_isolating = False


def check_path() -> None:
    """:raises InvalidRequest: the percent-decoded path is not UTF-8."""
    try:
        request.environ["PATH_INFO"].encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise InvalidRequest("the path is not percent-encoded UTF-8") from None


def check_key(key: str, max_bytes: int) -> str:
    """:raises InvalidRequest: the key is over its limit."""
    if len(key.encode("utf-8")) > max_bytes:
        raise InvalidRequest(f"the key is longer than {max_bytes} bytes")
    return key


def read_body(max_bytes: int) -> bytes:
    """Read the body.

    :raises TooLarge: it is over its limit.
    :raises RequestTimeout: it did not arrive in time.
    :raises InvalidRequest: it ended early, or is malformed.
    """
    request.max_content_length = max_bytes
    length = request.content_length
    try:
        with gevent.Timeout(BODY_TIMEOUT_S):
            body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(f"the body is larger than {max_bytes} bytes") from None
    except gevent.Timeout:
        raise RequestTimeout(f"the body did not arrive within {BODY_TIMEOUT_S:g} s") from None
    except ParseException as error:
        raise InvalidRequest(f"the body is malformed: {error}") from None
    if length is not None and len(body) < length:
        raise InvalidRequest("the body ended early")
    return body


def min_version() -> int | None:
    """The query parameter ``min_version``; None when it is not there.

    :raises InvalidRequest: it is not a whole number from 0.
    """
    text = request.args.get("min_version")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InvalidRequest("min_version must be a whole number from 0")
    return int(text)
