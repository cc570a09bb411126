"""The tap against the standard parser: whatever the chunking, escapes, order or truncation, a
tapped body must say exactly what `json.loads` says of the whole."""

import base64
import hashlib
import itertools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph.errors import ProtocolError
from heliograph.providers import tap as tap_module
from heliograph.providers.tap import AnswerTooLarge, Tap, Tapped
from heliograph.providers.wire import documents

KEYS = ("data", "thoughtSignature", "thought_signature", "signature")
SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=1200
)


def feed(body: bytes, folder: Path, cuts: list[int] | None = None) -> Tapped:
    tap = Tap(folder)
    edges = [0, *sorted(cuts or []), len(body)]
    try:
        for start, end in itertools.pairwise(edges):
            tap.feed(body[start:end])
    finally:
        tapped = tap.close()
    return tapped


def restored(tapped: Tapped, value: Any, key: str | None = None) -> Any:
    """The parsed skeleton with every spool put back, base64 encoded again."""
    if isinstance(value, dict):
        return {k: restored(tapped, v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [restored(tapped, v) for v in value]
    if isinstance(value, str) and value in tapped.spools:
        spool = tapped.spools[value]
        assert spool.defect is None
        data = spool.path.read_bytes()
        assert len(data) == spool.size
        assert hashlib.sha256(data).hexdigest() == spool.sha256
        return base64.b64encode(data).decode() if key == "data" else data.decode()
    return value


def tapped_keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for k, v in value.items():
            if k in KEYS and isinstance(v, str):
                yield v
            yield from tapped_keys(v)
    elif isinstance(value, list):
        for v in value:
            yield from tapped_keys(v)


plain_text = st.text(max_size=40)
base64_text = st.binary(max_size=120).map(lambda b: base64.b64encode(b).decode())
leaves = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | plain_text
names = plain_text.filter(lambda k: k not in KEYS)
tapped_pairs = st.fixed_dictionaries(
    {}, optional={"data": base64_text, "thoughtSignature": base64_text, "text": plain_text}
)
values = st.recursive(
    leaves | tapped_pairs,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
bodies = st.dictionaries(names, values, min_size=1, max_size=4)


@SETTINGS
@given(body=bodies, ascii_only=st.booleans(), indent=st.sampled_from([None, 0, 2]), data=st.data())
def test_any_chunking_reads_like_the_standard_parser(
    tmp_path: Path, body: dict[str, Any], ascii_only: bool, indent: int | None, data: st.DataObject
) -> None:
    raw = json.dumps(body, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    if not ascii_only:
        try:
            raw.decode()
        except UnicodeDecodeError:
            return
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=12))
    tapped = feed(raw, tmp_path, cuts)
    assert tapped.cut is None
    assert [restored(tapped, d) for d in documents(tapped)] == [json.loads(raw)]
    assert len(tapped.spools) == len(list(tapped_keys(body)))


def escaped(text: str, chance: random.Random) -> bytes:
    """A JSON string in which many characters are written as escapes, as a server is free to."""
    pieces = []
    for char in text:
        roll = chance.random()
        if roll < 0.15:
            pieces.append(f"\\u{ord(char):04{'x' if roll < 0.07 else 'X'}}")
        elif char == "/" and roll < 0.7:
            pieces.append("\\/")
        else:
            pieces.append(char)
    return f'"{"".join(pieces)}"'.encode()


def answer(chance: random.Random, images: list[bytes], signature: str) -> bytes:
    parts = [b'{"text":"a \\"data\\": \\\\ trap","thought":true}']
    parts += [
        b'{"inlineData":{"mimeType":"image/jpeg","data":'
        + escaped(base64.b64encode(image).decode(), chance)
        + b'},"thoughtSignature":'
        + escaped(signature, chance)
        + b"}"
        for image in images
    ]
    inner = b'{"candidates":[{"content":{"parts":[' + b",".join(parts) + b"]}}]}"
    shape = chance.randrange(4)
    if shape == 0:
        return inner
    if shape == 1:
        return b"[" + inner + b",\r\n" + inner + b"]"
    if shape == 2:
        return b"data: " + inner + b"\r\n\r\n\r\ndata: " + inner + b"\r\n\r\n"
    return b"\xef\xbb\xbf " + inner.replace(b":[", b" :\n [") + b"\n"


@pytest.mark.parametrize("block", range(8))
def test_fuzzed_answers_with_escapes_and_several_images(tmp_path: Path, block: int) -> None:
    for seed in range(block * 200, block * 200 + 200):
        chance = random.Random(seed)
        images = [chance.randbytes(chance.randrange(0, 400)) for _ in range(chance.randrange(4))]
        signature = base64.b64encode(chance.randbytes(chance.randrange(60))).decode()
        body = answer(chance, images, signature)
        cuts = [chance.randrange(len(body) + 1) for _ in range(chance.randrange(20))]
        folder = tmp_path / str(seed)
        folder.mkdir()
        tapped = feed(body, folder, cuts)
        found = documents(tapped)
        copies = 2 if body.lstrip()[:1] == b"[" or body.startswith(b"data: ") else 1
        assert len(found) == copies
        for document in found:
            parts = document["candidates"][0]["content"]["parts"]
            assert parts[0]["text"] == 'a "data": \\ trap'
            got = [tapped.spools[p["inlineData"]["data"]].path.read_bytes() for p in parts[1:]]
            assert got == images
            for part in parts[1:]:
                kept = tapped.spools[part["thoughtSignature"]].path.read_text()
                assert kept == signature


def test_every_truncation_is_noticed(tmp_path: Path) -> None:
    chance = random.Random(7)
    body = answer(chance, [chance.randbytes(90), chance.randbytes(91)], "c2ln" * 9).strip()
    whole = feed(body, tmp_path)
    assert len(documents(whole)) >= 1
    for length in range(1, len(body)):
        folder = tmp_path / f"cut{length}"
        folder.mkdir()
        tapped = feed(body[:length], folder, [length // 2])
        if tapped.cut is None:
            try:
                shorter = documents(tapped)
            except ProtocolError:
                continue
            # an event stream or array may end cleanly between two whole documents
            assert len(shorter) < len(documents(whole)) or body[length:].strip(b"\r\n ") == b""


def test_one_byte_at_a_time_equals_all_at_once(tmp_path: Path) -> None:
    chance = random.Random(3)
    for seed in range(60):
        body = answer(chance, [chance.randbytes(50)], "YWJj")
        one, all_ = tmp_path / f"one{seed}", tmp_path / f"all{seed}"
        one.mkdir()
        all_.mkdir()
        slow = feed(body, one, list(range(len(body))))
        fast = feed(body, all_)
        marker = re.compile(rb"spool:[0-9a-f]{16}:")
        assert marker.sub(b"", slow.skeleton) == marker.sub(b"", fast.skeleton)
        assert [s.sha256 for s in slow.spools.values()] == [s.sha256 for s in fast.spools.values()]


@pytest.mark.parametrize(
    "text",
    [
        "QUJ",  # a group of three
        "QUJD=",  # padding alone
        "QQ==QQ==",  # padding in the middle
        "QU JD",  # white space
        "QUJD\\n",  # white space, escaped
        "QU-_",  # the other alphabet
        "QUJ\\u00e9",
        "====",
        "Q\\qJD",  # no such escape
    ],
)
@pytest.mark.parametrize("step", [1, 2, 3, 5, 100])
def test_bad_base64_is_a_defect_and_keeps_the_rest(tmp_path: Path, text: str, step: int) -> None:
    body = b'{"data":"QUJD' + text.encode() + b'"}'
    tapped = feed(body, tmp_path, list(range(0, len(body), step)))
    (spool,) = tapped.spools.values()
    assert spool.defect is not None
    assert spool.path.read_bytes()[:3] in (b"", b"ABC")
    assert spool.path.with_name(spool.path.name + ".rest").exists()


def test_a_cut_string_is_kept_and_flagged(tmp_path: Path) -> None:
    tapped = feed(b'{"data":"QUJDREVG', tmp_path)
    (spool,) = tapped.spools.values()
    assert tapped.cut == "inside image data or a signature"
    assert spool.path.read_bytes() == b"ABCDEF"
    assert spool.defect == "the answer ended inside this string"


def test_keys_that_only_look_like_data_are_left_alone(tmp_path: Path) -> None:
    body = b'{"metadata":"QUJD","list":["data","x"],"data":{"data":["y"]},"d\\u0061t":"z"}'
    tapped = feed(body, tmp_path)
    assert not tapped.spools
    assert documents(tapped)[0] == json.loads(body)


def test_a_prompt_cannot_forge_a_placeholder(tmp_path: Path) -> None:
    forged = feed(b'{"data":"QUJD"}', tmp_path)
    placeholder = next(iter(forged.spools))
    other = tmp_path / "other"
    other.mkdir()
    tapped = feed(json.dumps({"text": placeholder}).encode(), other)
    assert documents(tapped) == [{"text": placeholder}]
    assert placeholder not in tapped.spools


def test_limits_stop_the_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tap_module, "SKELETON_LIMIT", 1000)
    monkeypatch.setattr(tap_module, "SPOOL_LIMIT", 1000)
    with pytest.raises(AnswerTooLarge, match="JSON besides"):
        feed(b'{"text":"' + b"x" * 2000, tmp_path)
    with pytest.raises(AnswerTooLarge, match="image data"):
        feed(b'{"data":"' + b"QUJD" * 2000, tmp_path)


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"", "empty"),
        (b"<html>busy</html>", "not JSON"),
        (b'{"a":1,"a":2}', "'a' stands twice"),
        (b'{"a":{"data":"QUJD","data":"REVG"}}', "'data' stands twice"),
        (b'{"a":"\xff"}', "UTF-8"),
        (b"[" * 100_000, "deep"),
        (b"[1,2]", "no JSON object"),
        (b'{"a":' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, body: bytes, complaint: str
) -> None:
    with pytest.raises(ProtocolError, match=complaint):
        documents(feed(body, tmp_path))


def test_events_and_bare_errors_between_them(tmp_path: Path) -> None:
    body = b': ping\r\n\r\ndata: {"a":1}\r\n\r\n{\n"error":{"code":503}\n}\n\ndata: [DONE]\n\n'
    assert documents(feed(body, tmp_path)) == [{"a": 1}, {"error": {"code": 503}}]


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\u0085"])
def test_an_unescaped_separator_in_a_text_ends_no_event(separator: str, tmp_path: Path) -> None:
    body = f'data: {{"text": "one{separator}two"}}\r\n\r\ndata: {{"n": 2}}\n\n'
    assert documents(feed(body.encode(), tmp_path)) == [
        {"text": f"one{separator}two"},
        {"n": 2},
    ]
