"""Calls on one key, written shortly."""

import itertools

from tests.chaos.operations import Condition, Kind, Operation, Value

_ids = itertools.count()


def put(value: str, start: int, end: int | None, condition: Condition | None = None) -> Operation:
    return _operation("put", value, start, end, condition)


def delete(start: int, end: int | None, condition: Condition | None = None) -> Operation:
    return _operation("delete", None, start, end, condition)


def read(value: Value, start: int, end: int) -> Operation:
    return _operation("read", value, start, end, None)


def _operation(
    kind: Kind, value: Value, start: int, end: int | None, condition: Condition | None
) -> Operation:
    return Operation(
        id=next(_ids), kind=kind, value=value, start_ns=start, end_ns=end, condition=condition
    )
