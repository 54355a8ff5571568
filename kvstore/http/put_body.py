"""The body of a put: a JSON object, whose ``value`` is what is stored."""

from kvstore.core.errors import InvalidRequest, TooLarge
from kvstore.http import strict_json


def value_of(body: bytes, max_bytes: int) -> bytes:
    """Take the value out of a body.

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
