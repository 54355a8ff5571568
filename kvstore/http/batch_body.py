"""How the operations are taken out of a batch's body.

Like all that a parser process runs, this needs nothing but Python's own modules.
"""

from typing import Any

from kvstore.core.errors import InvalidRequest, TooLarge
from kvstore.http import strict_json

MAX_OPERATIONS = 1000
"""As many as the entries of one message between nodes; a batch travels in one."""
MIN_LIMIT_BYTES = 1 << 20
"""Keys and values of a batch take up to this much together, or as much as one value may."""

_MAX_VERSION = 2**63 - 1
_MEMBERS = frozenset(("operation", "key", "value", "if_match", "if_none_match"))


def limit_bytes(max_value_bytes: int) -> int:
    """How much the keys and values of a batch may take together."""
    return max(max_value_bytes, MIN_LIMIT_BYTES)


def operations_of(body: bytes, max_value_bytes: int) -> bytes:
    """Take the operations out of a batch's body.

    :param max_value_bytes: limit of each value.
    :return: a line for each: a canonical JSON array of ``key``, ``if_match``, ``if_none_match``
        (null where it has none), and, of a put, ``value``.
    :raises InvalidRequest: the body is not JSON, or not a batch; the text says which operation.
    :raises TooLarge: a value, or all keys and values together, are over their limit.
    """
    document = strict_json.parse(body)
    operations = document.get("operations") if isinstance(document, dict) else None
    if not isinstance(operations, list) or len(document) > 1:
        raise InvalidRequest('the body must be an object with "operations", a list, and no more')
    if not 1 <= len(operations) <= MAX_OPERATIONS:
        raise InvalidRequest(f"a batch has from 1 to {MAX_OPERATIONS} operations")
    lines = []
    for number, operation in enumerate(operations):
        try:
            lines.append(_line(operation, max_value_bytes))
        except (InvalidRequest, TooLarge) as error:
            raise type(error)(f"operations[{number}]: {error}") from None
    # The rest of a line is a few bytes.
    if sum(map(len, lines)) > (limit := limit_bytes(max_value_bytes)):
        raise TooLarge(f"the batch is larger than {limit} bytes")
    return b"\n".join(lines)


def _line(operation: Any, max_value_bytes: int) -> bytes:
    if not isinstance(operation, dict):
        raise InvalidRequest("it must be an object")
    if unknown := operation.keys() - _MEMBERS:
        raise InvalidRequest(f"it must not have {min(unknown)!a}")
    kind, key = operation.get("operation"), operation.get("key")
    if kind not in ("put", "delete"):
        raise InvalidRequest('"operation" must be "put" or "delete"')
    if not isinstance(key, str) or not key:
        raise InvalidRequest('"key" must be a text that is not empty')
    if (kind == "put") != ("value" in operation):
        raise InvalidRequest('a put must have a "value", and a delete must not')
    head = [key, _version(operation, "if_match"), _version(operation, "if_none_match")]
    if kind == "delete":
        return strict_json.canonical(head)
    value = operation["value"]
    line = strict_json.canonical([*head, value])
    # To encode the value once more takes time: only where it may be too large.
    if len(line) > max_value_bytes and len(strict_json.canonical(value)) > max_value_bytes:
        raise TooLarge(f"the value is larger than {max_value_bytes} bytes")
    return line


def _version(operation: dict[str, Any], name: str) -> Any:
    version = operation.get(name)
    if name not in operation or version == "*":
        return version
    if isinstance(version, float) and version.is_integer():
        version = int(version)  # JSON has one kind of number: 7.0 is 7
    if type(version) is not int or not 0 <= version <= _MAX_VERSION:
        raise InvalidRequest(f'"{name}" must be a version or "*"')
    return version
