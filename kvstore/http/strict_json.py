"""JSON as clients may send it: everything the standard allows, and nothing it does not.

Python's own parser lets pass what other programs would choke on or read differently
(NaN, numbers beyond a double's range, lone surrogates, repeated names, any depth). A value that is
accepted here can be stored, sent and read back by every node alike.
"""

import json
import sys
from typing import Any

from kvstore.core.errors import InvalidRequest

MAX_DEPTH = 100
_MAX_DIGITS = len(str(int(sys.float_info.max)))
_OUT_OF_RANGE = "invalid JSON: a number is out of range"


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise InvalidRequest("invalid JSON: an object has the same name twice")
    return members


def _refuse_constant(name: str) -> None:
    raise InvalidRequest(f"invalid JSON: {name} is not a JSON number")


def _whole_number(digits: str) -> int:
    # The length first: Python refuses very many digits with an error text of its own.
    if len(digits) > _MAX_DIGITS + len("-") or abs(number := int(digits)) > sys.float_info.max:
        raise InvalidRequest(_OUT_OF_RANGE)
    return number


# Calling back for every whole number would take most of the time, and few can be out of range.
_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse_constant)
_range_decoder = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_whole_number, parse_constant=_refuse_constant
)
_CONTAINERS = frozenset((dict, list))
_AS_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_MAY_BE_OUT_OF_RANGE = b"0" * _MAX_DIGITS
_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def parse(body: bytes) -> Any:
    """Parse one JSON document.

    :param body: UTF-8 text.
    :return: a fraction that overflows a double is infinite: :func:`canonical` refuses it.
    :raises InvalidRequest: it is not JSON by RFC 8259, has a repeated name, nests deeper than
        ``MAX_DEPTH``, or holds a whole number beyond a double's range.
    """
    long_number = _MAY_BE_OUT_OF_RANGE in body.translate(_AS_ZEROS)
    decoder = _range_decoder if long_number else _decoder
    try:
        value = decoder.decode(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise InvalidRequest("invalid JSON: the body is not UTF-8") from None
    except RecursionError:
        raise InvalidRequest(f"invalid JSON: nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise InvalidRequest(f"invalid JSON: {error}") from None
    # A string or a number has no levels, and few brackets cannot make too many.
    if type(value) in _CONTAINERS and body.count(b"[") + body.count(b"{") > MAX_DEPTH:
        _check_depth(value)
    return value


def canonical(value: Any) -> bytes:
    """Encode a parsed value; equal bytes mean equal values on every node.

    :param value: what :func:`parse` returned, or a part of it.
    :return: compact UTF-8 JSON, members in the order the client gave.
    :raises InvalidRequest: a number overflows a double, or a string holds a lone surrogate.
    """
    try:
        return _encoder.encode(value).encode("utf-8")
    except UnicodeEncodeError:
        raise InvalidRequest("invalid JSON: a string holds a lone surrogate") from None
    except ValueError:
        raise InvalidRequest(_OUT_OF_RANGE) from None


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for part in level
            for child in (part.values() if type(part) is dict else part)
            if type(child) in _CONTAINERS
        ]
        if not level:
            return
    raise InvalidRequest(f"invalid JSON: nested deeper than {MAX_DEPTH}")
