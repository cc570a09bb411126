"""S55: JSON that is odd is refused, with little work and the right status."""

import json
import math
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.counting import lines_of
from tests.server.doors.house import a_house, ask

from heliograph.server.documents import PARTS, parse_json
from heliograph.server.faults import Fault

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(max_size=9)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
    ),
    max_leaves=30,
)


@given(PLAIN, st.booleans())
def test_what_is_plain_comes_out_as_it_is(value: Any, ascii_only: bool) -> None:
    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(
    st.binary(max_size=200) | st.text(alphabet='[]{}",:\\ud8001eN-', max_size=60).map(str.encode)
)
def test_anything_is_json_that_can_be_written_again_or_refused(data: bytes) -> None:
    try:
        found = parse_json(data)
    except Fault:
        return
    json.dumps(found, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"a":' * 100_000,
        "[" * 65 + "]" * 65,
        '{"a":' * 65 + "1" + "}" * 65,
        "1" * 10_000_000,
        "1e400",
        "-1e400",
        "0." + "1" * 100,
        "NaN",
        "[Infinity]",
        "-Infinity",
        '{"a":1,"a":1}',
        r'{"a":1,"\u0061":2}',
        r'"\ud800"',
        r'{"\udfff":1}',
        r'["\ud800\ud800"]',
        "",
        "{",
        "'a'",
        "\ufeff{}",
        '"a\nb"',
        "[1,]",
        "[],[]" * 300_000,
        "[" + "1," * 1_100_000 + "1]",
    ],
    ids=lambda text: text[:12],
)
def test_odd_documents_are_refused_with_little_work(text: str) -> None:
    """The parts that may be there bound the lines that run, and the bytes what is held."""
    data = text.encode()
    with lines_of("heliograph.server.documents") as lines, pytest.raises(Fault):
        parse_json(data)
    assert lines.count < 10 * min(len(data), PARTS) + 1000
    assert held_by(data) < 3 * len(data) + (1 << 16)


def test_a_name_that_comes_twice_is_found_at_once_among_many() -> None:
    """To look for each among all before it would take minutes, and the check would end it."""
    names = [f'"{number}":0' for number in range(PARTS - 10)]
    with pytest.raises(Fault, match="'0' twice"):
        parse_json(f"{{{','.join([*names, names[0]])}}}".encode())


def held_by(data: bytes) -> int:
    """Bytes held at most at one time while a document is refused."""
    tracemalloc.start()
    try:
        with pytest.raises(Fault):
            parse_json(data)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_other_encodings_are_refused() -> None:
    for data in ("{}".encode("utf-16"), "{}".encode("utf-32"), b'"\xff"', b'"\xed\xa0\x80"'):
        with pytest.raises(Fault):
            parse_json(data)


def test_the_edges_are_taken() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert parse_json(json.dumps(deep).encode()) == deep
    # brackets in a string are no levels
    assert parse_json(json.dumps({"a": "[{" * 1000}).encode()) == {"a": "[{" * 1000}
    assert parse_json(json.dumps({"a": '"[\\' * 1000}).encode()) == {"a": '"[\\' * 1000}
    assert parse_json(rb'"\ud83c\udf05"') == "🌅"
    assert math.isclose(parse_json(b"1e308"), 1e308)
    assert parse_json(b"9" * 64) == int("9" * 64)


def test_a_large_picture_in_a_document_costs_little() -> None:
    data = json.dumps({"contents": [{"data": "QUJD" * (5 << 20)}], "x": [[[]]] * 40}).encode()
    with lines_of("heliograph.server.documents") as lines:
        assert parse_json(data)["contents"][0]["data"].startswith("QUJD")
    assert lines.count < 5000  # the picture is one leap
    assert len(data) > 20 << 20


async def test_the_content_type_must_say_json() -> None:
    async with a_house() as house:
        key = await house.key(await house.user("anna"))

        async def send(kind: str | None, body: bytes) -> tuple[int, Any]:
            headers = {"content-type": kind} if kind else {}
            named: dict[str, Any] = {} if kind else {"skip_auto_headers": ["content-type"]}
            got = await ask(
                house, "/document", key, method="POST", headers=headers, data=body, **named
            )
            return got[0], got[1]

        for kind in ("application/json", "Application/JSON; charset=utf-8", "application/a+json"):
            assert await send(kind, b'{"a": 1}') == (200, {"a": 1})
        for other in (None, "text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
            status, answer = await send(other, b"{}")
            assert (status, answer["error"]["code"]) == (415, "unsupported_media_type")
        status, answer = await send("application/json", b'{"a":1,"a":2}')
        assert (status, answer["error"]["code"]) == (400, "bad_request")
