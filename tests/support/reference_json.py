"""Strict JSON again, in the plainest way: one call back for every number, and recursion."""

import json
import sys
from typing import Any

MAX_DEPTH = 100


class Refused(Exception):
    """The text says why."""


def canonical(body: bytes) -> bytes:
    """Parse a document and encode it again."""
    try:
        value = json.loads(
            body.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_int=_whole_number,
            parse_constant=_refuse_constant,
        )
    except UnicodeDecodeError:
        raise Refused("invalid JSON: the body is not UTF-8") from None
    except RecursionError:
        raise Refused(f"invalid JSON: nested deeper than {MAX_DEPTH}") from None
    except ValueError as error:
        raise Refused(f"invalid JSON: {error}") from None
    _check_depth(value, MAX_DEPTH)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        raise Refused("invalid JSON: a number is out of range") from None
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        raise Refused("invalid JSON: a string holds a lone surrogate") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise Refused("invalid JSON: an object has the same name twice")
    return dict(pairs)


def _refuse_constant(name: str) -> None:
    raise Refused(f"invalid JSON: {name} is not a JSON number")


def _whole_number(text: str) -> int:
    digits = text.removeprefix("-")
    if len(digits) > 400 or int(digits) > sys.float_info.max:
        raise Refused("invalid JSON: a number is out of range")
    return int(text)


def _check_depth(value: Any, levels: int) -> None:
    if not isinstance(value, dict | list):
        return
    if levels == 0:
        raise Refused(f"invalid JSON: nested deeper than {MAX_DEPTH}")
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, levels - 1)
