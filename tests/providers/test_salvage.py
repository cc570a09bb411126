"""An answer that broke off: whatever the place of the cut, what is left is JSON and is true."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.providers.salvage import closed, is_last_part_open, salvaged
from heliograph.providers.tap import Spooled
from heliograph.providers.wire import WireReply, documents, read_bytes
from heliograph.types import Timing

leaves = st.none() | st.booleans() | st.integers(-99, 99) | st.floats(-9, 9) | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)
documents_of_json = st.lists(values, max_size=3) | st.dictionaries(
    st.text(max_size=4), values, max_size=3
)
DOCUMENTS: list[Any] = [
    {},
    [],
    {"a": 1, "b": [True, False, None, -1.5e3, "x"], "c": {"d": "e"}},
    [{"a": "b"}, {"c": []}, [], [[["deep"]]], 12],
    {'q"uote': 'in "it"', "back\\slash": "\\", "{": "}", ",": ":", "nul": "\0\n 金 😀"},
    {"text": "data: true, [false] {null}", "true": True},
    {"candidates": [{"content": {"parts": [{"text": ""}, {"thought": True}]}, "index": 0}]},
]


def kept_of(whole: Any, left: Any, path: str = "") -> None:
    """Everything that is left stands in the whole document, at its place, and is the same."""
    if isinstance(left, dict):
        assert isinstance(whole, dict), path
        assert list(left) == list(whole)[: len(left)], path
        for key, value in left.items():
            kept_of(whole[key], value, f"{path}.{key}")
    elif isinstance(left, list):
        assert isinstance(whole, list), path
        assert len(left) <= len(whole), path
        for index, value in enumerate(left):
            kept_of(whole[index], value, f"{path}[{index}]")
    else:
        assert (type(left), left) == (type(whole), whole), path


def leaves_of(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(leaves_of, value.values()))
    return sum(map(leaves_of, value)) if isinstance(value, list) else 1


def check_every_beginning(document: Any, text: str) -> None:
    before = 0
    for length in range(1, len(text) + 1):
        if not text[:length].strip():
            continue
        left = json.loads(closed(text[:length]))
        kept_of(document, left)
        assert leaves_of(left) >= before, "more bytes never tell less"
        before = leaves_of(left)
    assert left == document


@pytest.mark.parametrize("document", DOCUMENTS)
@pytest.mark.parametrize("ascii_only", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_every_beginning_of_a_document(
    document: Any, indent: int | None, *, ascii_only: bool
) -> None:
    check_every_beginning(document, json.dumps(document, ensure_ascii=ascii_only, indent=indent))


@given(documents_of_json, st.booleans(), st.sampled_from([None, 0, 2]))
def test_every_beginning_of_any_document(
    document: Any, ascii_only: bool, indent: int | None
) -> None:
    check_every_beginning(document, json.dumps(document, ensure_ascii=ascii_only, indent=indent))


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("", ""),
        ("  ", ""),
        ('{"a', "{}"),
        ('{"a"', "{}"),
        ('{"a":', "{}"),
        ('{"a":"b', "{}"),
        ('{"a":"b"', '{"a":"b"}'),
        ('{"a":"b\\"', "{}"),
        ('{"a":"b\\\\"', '{"a":"b\\\\"}'),
        ('{"a":12', "{}"),
        ('{"a":12,', '{"a":12}'),
        ('{"a":12}', '{"a":12}'),
        ('{"a":tru', "{}"),
        ('{"a":true', '{"a":true}'),
        ('{"a":{"b":[1,2', '{"a":{"b":[1]}}'),
        ('[{"a":"b"},{"c"', '[{"a":"b"},{}]'),
        ('["a","b', '["a"]'),
        ('[["a"],"b"', '[["a"],"b"]'),
        ('{"a":["k"],"b":"c"', '{"a":["k"],"b":"c"}'),
        ('{"a":["k"],"b"', '{"a":["k"]}'),
        ('{"a":1} trailing, "words" true', '{"a":1}'),
        ('{"a":1}\n\n{"error":{"code":503', '{"a":1}\n\n{"error":{}}'),
        ('{"a":1}]', '{"a":1}'),
        ('{"a":["b"}', '{"a":["b"]}'),
        ("]", ""),
        (': it\'s "fine\ndata: {"a":[1,"b"],"c', ': it\'s "fine\ndata: {"a":[1,"b"]}'),
        (': "a", true, 1: {"a":"b', ': "a", true, 1: {}'),
        ('{"a":"b\nc","d":"e"', "{}"),
    ],
)
def test_what_is_whole_is_kept_and_no_more(text: str, left: str) -> None:
    assert closed(text) == left


# ---------------------------------------------------------------- a tapped answer

PICTURE = {"inlineData": {"mimeType": "image/png", "data": "QUJDREVG"}}
ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "data: a 金"}, PICTURE]}, "index": 0}],
    "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 2020},
    "modelVersion": "m",
}


def wire_of(body: bytes, folder: Path, incomplete: str | None = "it stopped") -> WireReply:
    folder.mkdir(parents=True, exist_ok=True)
    tapped = read_bytes(body, folder, chunk=5)
    return WireReply(
        status=200, headers={}, tapped=tapped, timing=Timing(done=1.0), incomplete=incomplete
    )


def picture_of(wire: WireReply) -> Spooled | None:
    """The picture of the last document, when it is mentioned there."""
    for document in reversed(documents(wire.tapped)):
        for candidate in document.get("candidates", []):
            for part in candidate.get("content", {}).get("parts", []):
                placeholder = part.get("inlineData", {}).get("data")
                if placeholder is not None:
                    return wire.tapped.spools[placeholder]
    return None


SHAPES = {
    "plain": "{}",
    "array": "[{},\r\n{}]",
    "events": "data: {}\r\n\r\ndata: {}\r\n\r\n",
    "mark": "\ufeff{}",
    "named": "event: x\n: ping\ndata: {}\n\nid: 7\n",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_wherever_an_answer_breaks_off_after_its_picture_it_can_be_read(
    shape: str, tmp_path: Path
) -> None:
    text = json.dumps(ANSWER, ensure_ascii=False)
    body = SHAPES[shape].replace("{}", text).encode()
    shown = body.index(b'QUJDREVG"') + len(b'QUJDREVG"')
    for length in range(1, len(body) + 1):
        wire = wire_of(body[:length], tmp_path / str(length))
        mended = salvaged(wire)
        assert (mended is None) == (length < shown)
        if mended is None:
            continue
        assert mended.tapped.cut is None
        assert mended.incomplete is None
        assert (mended.status, mended.timing) == (200, Timing(done=1.0))
        assert mended.tapped.spools == wire.tapped.spools
        first, *more = documents(mended.tapped)
        found = picture_of(replace_documents(mended, first))
        assert found is not None
        assert found.path.read_bytes() == b"ABCDEF"
        assert found.defect is None
        kept_of(ANSWER["usageMetadata"], first.get("usageMetadata", {}))
        assert len(more) <= 1


def replace_documents(wire: WireReply, document: Any) -> WireReply:
    """The same answer with one document only."""
    from dataclasses import replace

    return replace(wire, tapped=replace(wire.tapped, skeleton=json.dumps(document).encode()))


def test_a_picture_that_was_cut_is_not_enough(tmp_path: Path) -> None:
    body = json.dumps(ANSWER).encode()
    cut = body.index(b"QUJDREVG") + 4
    wire = wire_of(body[:cut], tmp_path)
    assert [spool.path.read_bytes() for spool in wire.tapped.spools.values()] == [b"ABC"]
    assert salvaged(wire) is None
    assert salvaged(wire_of(b"", tmp_path)) is None


def test_a_second_picture_that_was_cut_stays_broken(tmp_path: Path) -> None:
    body = json.dumps([ANSWER, ANSWER]).encode()
    cut = body.rindex(b"QUJDREVG") + 4
    mended = salvaged(wire_of(body[:cut], tmp_path))
    assert mended is not None
    assert [spool.defect is None for spool in mended.tapped.spools.values()] == [True, False]


def test_a_character_that_was_cut_in_two_goes_with_its_string(tmp_path: Path) -> None:
    document = {"candidates": [{"content": {"parts": [PICTURE, {"text": "金"}]}}]}
    body = json.dumps(document, ensure_ascii=False).encode()
    cut = body.index("金".encode()) + 1
    wire = wire_of(body[:cut], tmp_path)
    assert not is_last_part_open(wire)
    mended = salvaged(wire)
    assert mended is not None
    (left,) = documents(mended.tapped)
    assert list(left["candidates"][0]["content"]["parts"][1]) == []


@pytest.mark.parametrize("word", ["[", "[D", "[DONE", "[DONE]", "[DONE]\n"])
def test_the_last_word_of_a_stream_is_no_document(word: str, tmp_path: Path) -> None:
    body = f"data: {json.dumps(ANSWER)}\n\ndata: {word}".encode()
    mended = salvaged(wire_of(body, tmp_path))
    assert mended is not None
    (left,) = documents(mended.tapped)
    assert left["usageMetadata"] == ANSWER["usageMetadata"]


def test_words_in_a_prompt_do_not_begin_an_event(tmp_path: Path) -> None:
    parts = [PICTURE, {"text": "data: {"}, {"text": "an end that is cut"}]
    document = {"candidates": [{"content": {"parts": parts}}]}
    body = b"data: " + json.dumps(document).encode()
    mended = salvaged(wire_of(body[: body.index(b"that is")], tmp_path))
    assert mended is not None
    (left,) = documents(mended.tapped)
    assert left["candidates"][0]["content"]["parts"][1:] == [{"text": "data: {"}, {}]
    assert picture_of(mended) is not None


# ---------------------------------------------------------------- the mark of a thought


MARKED = {"inlineData": {"mimeType": "image/png", "data": "QUJDREVG"}, "thought": True}
SIGNED = {**PICTURE, "thoughtSignature": "c2ln"}


def is_open_at(end: int, document: Any, folder: Path) -> bool:
    return is_last_part_open(wire_of(json.dumps(document).encode()[:end], folder / str(end)))


@pytest.mark.parametrize("part", [PICTURE, MARKED])
def test_until_its_part_is_closed_a_picture_may_be_a_thought(
    part: dict[str, Any], tmp_path: Path
) -> None:
    document = {"candidates": [{"content": {"parts": [{"text": "}]}"}, part]}}], "usage": [1]}
    body = json.dumps(document)
    shown = body.index('QUJDREVG"') + len('QUJDREVG"')
    closed_at = body.index("]", body.index("QUJDREVG"))  # behind the brace of the part
    for end in range(shown - 4, len(body) + 1):
        assert is_open_at(end, document, tmp_path) == (end < closed_at), body[:end]


def test_a_signature_behind_a_picture_is_of_the_same_part(tmp_path: Path) -> None:
    document = {"candidates": [{"content": {"parts": [SIGNED]}}]}
    body = json.dumps(document)
    assert is_open_at(body.index('c2ln"') + 5, document, tmp_path)
    assert not is_open_at(len(body), document, tmp_path)


def test_the_last_picture_counts(tmp_path: Path) -> None:
    document = {"candidates": [{"content": {"parts": [MARKED, PICTURE]}}]}
    body = json.dumps(document)
    assert not is_open_at(body.index(', {"inlineData"'), document, tmp_path)
    assert is_open_at(len(body) - 8, document, tmp_path)
    assert not is_open_at(len(body), document, tmp_path)


def test_what_stands_behind_a_part_opens_nothing(tmp_path: Path) -> None:
    behind = {"text": "x", "list": [{}, [{"a": "b"}]]}
    inner = {"mimeType": "image/png", "data": "QUJDREVG", "more": {"a": {"b": []}}}
    document = {"parts": [{"inlineData": inner, "also": {"c": "d"}}, behind]}
    body = json.dumps(document)
    part_ends = body.index('"d"}}') + len('"d"}}')
    for end in range(body.index('QUJDREVG"') + 9, len(body) + 1):
        assert is_open_at(end, document, tmp_path) == (end < part_ends), body[:end]


def test_without_a_picture_no_part_is_open(tmp_path: Path) -> None:
    assert not is_open_at(30, {"text": "data: a long text in one part"}, tmp_path)
    assert not is_last_part_open(wire_of(b"", tmp_path / "empty"))
    wire = wire_of(json.dumps(ANSWER).encode(), tmp_path / "gone")
    assert not is_last_part_open(replace_documents(wire, {"text": "x"}))
