"""JSON as clients may send it."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.errors import InvalidRequest
from kvstore.strict_json import MAX_DEPTH, canonical, parse

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**300), 10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_accepted_comes_back_equal(value: object) -> None:
    kept = canonical(parse(json.dumps(value).encode()))
    assert json.loads(kept) == value
    assert canonical(parse(kept)) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (b' { "b" : 1 , "a" : [ 1.50 ] } ', b'{"b":1,"a":[1.5]}'),
        (b'"\\u00e9\\ud83d\\ude00\\n"', '"\u00e9\U0001f600\\n"'.encode()),
        (b"null", b"null"),
        (b"123456789012345678901234567890", b"123456789012345678901234567890"),
        (b"1e3", b"1000.0"),
        (b'{"a":{"a":{"a":1}}}', b'{"a":{"a":{"a":1}}}'),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, b"[" * MAX_DEPTH + b"]" * MAX_DEPTH),
    ],
)
def test_canonical_form(text: bytes, kept: bytes) -> None:
    assert canonical(parse(text)) == kept


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{}{}",
        b"{'a':1}",
        b'{"a":1,}',
        b"[1,]",
        b"01",
        b"+1",
        b".5",
        b"1.",
        b"0x10",
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b'{"value":NaN}',
        b"True",
        b'"\t"',
        b'"\\x41"',
        b'"open',
        b"\xff",
        b'"\xed\xa0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'{"a":1,"a":1}',
        b'{"a":1,"\\u0061":2}',
        b'[{"b":{"a":1,"a":2}}]',
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b"[" * 500_000,
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidRequest, match="invalid JSON"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"1e309", "out of range"),
        (b'[{"a":-1e400}]', "out of range"),
        (b"2" + b"0" * 308, "out of range"),
        (b"-2" + b"0" * 308, "out of range"),
        (b"9" * 100_000, "out of range"),
        (b'"\\ud800"', "lone surrogate"),
        (b'{"\\udfff":1}', "lone surrogate"),
        (b'["a\\udc00"]', "lone surrogate"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_others_could_not_read_is_refused(text: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=f"invalid JSON: .* {why}"):
        canonical(parse(text))


def test_largest_numbers_pass() -> None:
    assert canonical(parse(b"1.7976931348623157e308")) == b"1.7976931348623157e+308"
    assert math.isclose(json.loads(canonical(parse(b"1" + b"0" * 308))), 1e308)
