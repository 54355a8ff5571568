"""JSON as clients may send it."""

import json
import struct
import sys

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kvstore.core.errors import InvalidRequest
from kvstore.http.strict_json import MAX_DEPTH, canonical, parse


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


NO_JSON = rb"""
{ {}{} {'a':1} {"a":1,} [1,] 01 +1 .5 1. 0x10 NaN Infinity -Infinity {"value":NaN} True
"\x41" "open {"a":1,"a":1} {"a":1,"\u0061":2} [{"b":{"a":1,"a":2}}]
"""
NO_UTF8 = [b"\xff", b'"\xed\xa0\x80"', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16")]
TOO_DEEP = [
    b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    b"[" * 500_000,
]


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b'"\t"', *NO_JSON.split(), *NO_UTF8, *TOO_DEEP],
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
        (b"[NaN]", "NaN is not a JSON number"),
        (b'{"a":1,"a":1}', "the same name twice"),
        (b"\xff", "not UTF-8"),
        (TOO_DEEP[0], "nested deeper than 100"),
        (TOO_DEEP[2], "nested deeper than 100"),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_refusal_says_why(text: bytes, why: str) -> None:
    with pytest.raises(InvalidRequest, match=f"invalid JSON: .*{why}"):
        canonical(parse(text))


# The same again, in the plainest way: a call for every whole number, and recursion


def reference(body: bytes) -> bytes | None:
    """The canonical form; None where it is refused."""
    try:
        value = json.loads(
            body.decode(),
            object_pairs_hook=unique,
            parse_int=whole_number,
            parse_constant=refuse_constant,
        )
        if depth(value) > MAX_DEPTH:
            return None
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        return text.encode()
    except (ValueError, RecursionError):
        return None


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError
    return dict(pairs)


def whole_number(text: str) -> int:
    number = int(text)
    if abs(number) > sys.float_info.max:
        raise ValueError
    return number


def refuse_constant(_: str) -> None:
    raise ValueError


def depth(value: object) -> int:
    if isinstance(value, dict | list):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


DIGITS = st.integers(0, 10**18).map(str) | st.builds(
    lambda digit, length: digit * length, st.sampled_from("123456789"), st.integers(300, 320)
)
LIMIT = int(1.7976931348623157e308)
SPECIAL_NUMBERS = """
-0 0 -0.0 0.1 5e-324 2.2250738585072014e-308 2.225073858507201e-308 1e16 1e15 1e-5 1e22 1E+2
9007199254740993 1.7976931348623158e308 1.7976931348623159e308 NaN -Infinity
"""
NUMBERS = st.one_of(
    st.builds("{}{}".format, st.sampled_from(["", "-"]), DIGITS),
    st.builds("{}.{}".format, st.integers(-(10**20), 10**20), DIGITS),
    st.builds("{}e{}".format, st.integers(-(10**20), 10**20), st.integers(-400, 400)),
    st.integers(0, 2**64 - 1).map(lambda bits: repr(struct.unpack("!d", bits.to_bytes(8))[0])),
    st.integers(LIMIT - 2**969, LIMIT + 2**971).map(str),
    st.sampled_from(SPECIAL_NUMBERS.split()),
)
STRINGS = st.one_of(
    st.text(max_size=5).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.text(max_size=5).map(json.dumps),
    st.builds('"{}"'.format, DIGITS),
    st.sampled_from(
        ['"\\ud83d"', '"\\ud83d\\ude00"', '"\\u00"', '"\t"', '"open', '"a"', '"\\u0061"', '"[{"']
    ),
)
LEAVES = NUMBERS | STRINGS | st.sampled_from(["true", "false", "null", "[]", "{}", "tru", ""])


def nested(depth: int, inner: str, kind: str) -> str:
    opened, closed = ("[", "]") if kind == "[" else ('{"a":', "}")
    return opened * depth + inner + closed * depth


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    spaces = st.sampled_from(["", " ", "\n\t"])
    member = st.builds("{}{}:{}".format, STRINGS, spaces, inner)
    return st.one_of(
        st.builds("[{}{}]".format, st.lists(inner, max_size=4).map(",".join), spaces),
        st.builds("{{{}{}}}".format, spaces, st.lists(member, max_size=4).map(",".join)),
        st.builds(nested, st.integers(95, 105), inner, st.sampled_from("[{")),
    )


DOCUMENTS = st.recursive(LEAVES, containers, max_leaves=8)


@settings(max_examples=2000, deadline=None)
@given(DOCUMENTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20))
@example(b"[" * 100_000)
@example(b'["' + b"9" * 400 + b'",' + b"8" * 309 + b"]")
@example(b"[" + b"1" * 309 + b"]")
@example(b"[-" + b"1" * 309 + b"," + b"2" * 5000 + b"]")
@example(b"[" + b"1" * 308 + b"]")
@example(b"[%d,%d]" % (LIMIT, -LIMIT))
@example(b"%d" % (LIMIT + 1))
@example(b"[0." + b"1" * 5000 + b"]")
@example(b"[" * 101 + b"1" + b"]" * 100)
def test_same_as_the_reference(body: bytes) -> None:
    try:
        found = canonical(parse(body))
    except InvalidRequest:
        found = None
    assert found == reference(body)
    if found is not None:
        assert canonical(parse(found)) == found
