"""The pure parts: messages, base64, answers of records, bodies, kept files."""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.gemini.conftest import PRO, in_base64, picture

from heliograph.errors import (
    BudgetExceeded,
    Charged,
    CorruptImage,
    DeadlineExceeded,
    NoImage,
    OutcomeUnknown,
    RateLimited,
    StorageError,
)
from heliograph.planning.load import catalogue
from heliograph.providers.tap import Tap
from heliograph.server.faults import Fault
from heliograph.server.gemini import error_response
from heliograph.server.gemini.answer import Answer, AnswerPart, answer_of, told
from heliograph.server.gemini.asking import Asked, as_request
from heliograph.server.gemini.envelope import BadBody, error_document
from heliograph.server.gemini.inbox import ABANDONED, Inbox, Incoming, parse
from heliograph.server.gemini.protojson import Long, camel, read, snake
from heliograph.server.gemini.rendering import merged, render
from heliograph.server.gemini.schema import MESSAGES
from heliograph.storage import LocalBlobs
from heliograph.types import Enclosed, Estimate, KeptImage, Outcome, Pixels, Record, Role, Verdict

USER = "0" * 32
ONE_KEY = "sha256/ab/abcd.jpg"


def incoming(body: bytes, folder: Path, step: int = 1 << 16) -> Incoming:
    tap = Tap(folder)
    for start in range(0, len(body), step):
        tap.feed(body[start : start + step])
    tapped = tap.close()
    return Incoming(document=parse(tapped.skeleton), folder=folder, spools=dict(tapped.spools))


# ---------------------------------------------------------------- messages


def test_every_name_has_both_spellings() -> None:
    names = {name for fields in MESSAGES.values() for name in fields}
    assert all(camel(snake(name)) == name for name in names)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["contents", "parts", "text", "x", "generation_config"]),
                inner,
                max_size=3,
            )
        ),
        max_leaves=12,
    )
)
def test_any_document_is_read_or_refused(document: Any) -> None:
    try:
        found = read(document, "GenerateContentRequest")
    except BadBody:
        return
    assert set(found) <= set(MESSAGES["GenerateContentRequest"])
    # what was understood once is understood again
    assert read(found, "GenerateContentRequest") == found


def test_a_name_in_both_spellings_is_refused() -> None:
    with pytest.raises(BadBody, match="twice"):
        read({"service_tier": "flex", "serviceTier": "flex"}, "GenerateContentRequest")


@given(data=st.binary(min_size=1, max_size=200), step=st.integers(1, 50), form=st.integers(0, 3))
def test_pictures_arrive_whole_in_any_alphabet_and_chunking(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, step: int, form: int
) -> None:
    text = base64.b64encode(data) if form % 2 else base64.urlsafe_b64encode(data)
    text = text if form < 2 else text.rstrip(b"=")
    folder = tmp_path_factory.mktemp("body")
    found = incoming(b'{"data":"' + text + b'"}', folder, step)
    long = Long(kind="data", text=found.document["data"], where="data")
    assert found.is_placeholder(long.text)
    file = found.enclosed(long, "image/png")
    assert file.path.read_bytes() == data
    assert (file.size, file.sha256) == (len(data), hashlib.sha256(data).hexdigest())


@given(
    text=st.binary(min_size=1, max_size=60).filter(
        lambda text: b'"' not in text and b"\\" not in text
    )
)
def test_what_is_no_base64_is_refused(
    tmp_path_factory: pytest.TempPathFactory, text: bytes
) -> None:
    plain = text.replace(b"-", b"+").replace(b"_", b"/")
    plain += b"=" * (-len(plain) % 4)
    try:
        wanted = base64.b64decode(plain, validate=True)
    except ValueError:
        wanted = None
    found = incoming(b'{"data":"' + text + b'"}', tmp_path_factory.mktemp("body"), 7)
    long = Long(kind="data", text=found.document["data"], where="data")
    if wanted is None:
        with pytest.raises(BadBody, match="Base64 decoding failed"):
            found.enclosed(long, "image/png")
    else:
        assert found.enclosed(long, "image/png").path.read_bytes() == wanted


def test_the_body_goes_on_as_it_was_written(tmp_path: Path) -> None:
    body = {
        "generation_config": {"image_config": {"image_size": "4k"}, "temperature": "0.5"},
        "contents": [
            {"role": "user", "parts": [{"text": "ein See 湖"}]},
            {
                "role": "model",
                "parts": [
                    {"text": "hier", "thought_signature": "Zm9v_-ba"},
                    {"inline_data": {"data": in_base64(picture()), "mime_type": "image/png"}},
                ],
            },
            {"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "?"}]},
        ],
    }
    found = incoming(json.dumps(body).encode(), tmp_path, 11)
    asked = Asked(
        model=catalogue().models[PRO],
        incoming=found,
        fetch=lambda _uri: pytest.fail("nothing is fetched"),
        message=read(found.document, "GenerateContentRequest"),
    )
    request = as_request(asked, stream=False, strict=False)
    assert request.verbatim is not None
    assert (request.size, request.aspect, request.temperature) == ("4K", None, 0.5)
    assert request.prompt == "?"
    assert len(request.references) == 1
    assert (request.verbatim.images, request.verbatim.words.split()) == (
        2,
        ["ein", "See", "湖", "hier", "?"],
    )
    whole = "".join(
        piece
        if isinstance(piece, str)
        else piece.path.read_text()
        if piece.media_type is None
        else in_base64(piece.path.read_bytes())
        for piece in request.verbatim.pieces
    )
    sent = json.loads(whole)
    assert sent["generationConfig"] == {"imageConfig": {"imageSize": "4K"}, "temperature": 0.5}
    assert sent["contents"][1]["parts"] == [
        {"text": "hier", "thoughtSignature": "Zm9v_-ba"},
        {"inlineData": {"data": in_base64(picture()), "mimeType": "image/png"}},
    ]
    assert [c.get("role") for c in sent["contents"]] == ["user", "model", None]


def test_a_kept_file_takes_the_place_of_its_address(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_bytes(picture())
    parts = [{"fileData": {"fileUri": "files/a"}}, {"text": "night"}]
    found = incoming(json.dumps({"contents": [{"parts": parts}]}).encode(), tmp_path)
    asked = Asked(
        model=catalogue().models[PRO],
        incoming=found,
        fetch=lambda _uri: Enclosed(
            path=kept, size=len(picture()), sha256="0" * 64, media_type="image/png"
        ),
        message=read(found.document, "GenerateContentRequest"),
    )
    request = as_request(asked, stream=True, strict=True)
    assert request.verbatim is not None
    first = request.verbatim.pieces[0]
    assert isinstance(first, str)
    assert "fileData" not in first
    assert first.endswith('"inlineData":{"mimeType":"image/png","data":"')
    assert (request.stream, request.strict, request.size) == (True, True, "1K")


# ---------------------------------------------------------------- errors


def test_an_error_says_all_it_knows() -> None:
    error = RateLimited("Too fast.", retry_after=7.2, facts={"job": "j" * 32})
    body = error_document(error, "r1")["error"]
    assert (body["code"], body["status"], body["message"]) == (
        429,
        "RESOURCE_EXHAUSTED",
        "Too fast.",
    )
    details = {d["@type"].rpartition(".")[2]: d for d in body["details"]}
    assert details["RetryInfo"]["retryDelay"] == "8s"
    assert details["ErrorInfo"] == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "rate_limited",
        "domain": "heliograph",
        "metadata": {"charged": "no", "requestId": "r1", "job": "j" * 32},
    }
    answer = error_response(error, "r1")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "8")
    assert answer.headers["x-should-retry"] == "true"


@pytest.mark.parametrize(
    ("error", "code", "status", "retries"),
    [
        (BudgetExceeded("No money."), 429, "RESOURCE_EXHAUSTED", "false"),
        # 504 and 502 would be repeated by an SDK, and paid for again
        (OutcomeUnknown("?", charged=Charged.UNKNOWN), 409, "ABORTED", "false"),
        (CorruptImage("!", charged=Charged.YES), 409, "ABORTED", "false"),
        (DeadlineExceeded("Late."), 504, "DEADLINE_EXCEEDED", "true"),
        (StorageError("Full."), 503, "UNAVAILABLE", "false"),
        (NoImage("Words."), 422, "FAILED_PRECONDITION", "false"),
        (Fault("half \ud800"), 400, "INVALID_ARGUMENT", "false"),
    ],
)
def test_statuses(error: Any, code: int, status: str, retries: str) -> None:
    answer = error_response(error, "")
    body = json.loads(bytes(answer.body))["error"]
    assert (answer.status_code, body["code"], body["status"]) == (code, code, status)
    assert answer.headers["x-should-retry"] == retries


# ---------------------------------------------------------------- answers


class Shelf:
    """A folder with blobs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.blobs = LocalBlobs(home / "blobs")


def record(**change: Any) -> Record:
    image = KeptImage(
        sha256="ab" * 32,
        key=ONE_KEY,
        role=Role.RESULT,
        format="jpeg",
        media_type="image/jpeg",
        pixels=Pixels(8, 8),
        size=3,
        verdict=Verdict.VERIFIED,
    )
    values: dict[str, Any] = {
        "id": "1" * 32,
        "created": datetime.now(UTC),
        "outcome": Outcome.KEPT,
        "prompt": "p",
        "model": PRO,
        "size": "1K",
        "aspect": None,
        "tier": "standard",
        "verdict": Verdict.VERIFIED,
        "images": (image,),
        "cost": 1,
        "estimate": Estimate(low=1, expected=1, high=1, price_version="v", priced_on="2026-11-22"),
        "simulated": True,
        "upstream": "u",
        "request": {},
        "usage": {"prompt_tokens": 5, "candidate_tokens": 1120, "image_tokens": 1120},
        "turn": (
            {"text": "Here", "signature": "sha256/cd/cdef.sig"},
            {"image": "ab" * 32},
        ),
        "finish_reason": "STOP",
    }
    return Record(**values | change)


async def body_of(answer: Answer, framing: Any, shelf: Shelf) -> bytes:
    rendered = await render(answer, framing, shelf)
    body = b"".join([piece async for piece in rendered.stream()])
    assert len(body) == rendered.length
    return body


class Lender(LocalBlobs):
    """Gives copies away, as an object store does."""

    async def local(self, key: str, scratch: Path) -> Path:
        await asyncio.to_thread(scratch.mkdir, parents=True, exist_ok=True)
        return Path(shutil.copy(await super().local(key, scratch), scratch))


@pytest.mark.parametrize("is_sent", [True, False])
async def test_copies_go_when_they_are_not_needed_any_more(
    tmp_path: Path, *, is_sent: bool
) -> None:
    shelf = Shelf(tmp_path)
    shelf.blobs = Lender(tmp_path / "blobs")
    await kept(shelf)
    rendered = await render(told(record()), "single", shelf)
    copies = tmp_path / "exports" / "answers"
    assert len([path for path in copies.rglob("*") if path.is_file()]) == 2
    if is_sent:
        body = b"".join([piece async for piece in rendered.stream()])
        assert b'"/9j/"' in body
    else:
        del rendered  # as when the client has left before the first byte
    assert list(copies.iterdir()) == []


async def kept(shelf: Shelf, data: bytes = b"\xff\xd8\xff") -> None:
    await shelf.blobs.put_bytes(data, ONE_KEY)
    await shelf.blobs.put_bytes(b"U0lH", "sha256/cd/cdef.sig")


async def test_a_record_without_an_answer_is_told_from_its_fields(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    await kept(shelf)
    answer = await answer_of(record(), shelf)
    document = json.loads(await body_of(answer, "single", shelf))
    assert document["candidates"] == [
        {
            "content": {
                "role": "model",
                "parts": [
                    {"text": "Here", "thoughtSignature": "U0lH"},
                    {"inlineData": {"mimeType": "image/jpeg", "data": "/9j/"}},
                ],
            },
            "index": 0,
            "finishReason": "STOP",
        }
    ]
    assert document["usageMetadata"]["totalTokenCount"] == 1125
    assert document["modelVersion"] == PRO


def test_a_refused_record_names_its_reason() -> None:
    error = NoImage("No.", facts={"block_reason": "SAFETY"})
    blocked = told(record(images=(), turn=()), error)
    assert blocked.events[0]["promptFeedback"] == {"blockReason": "SAFETY"}
    assert "candidates" not in blocked.events[0]


@given(
    sizes=st.lists(
        st.sampled_from([0, 1, 2, 3, 786_431, 786_432, 786_433]), min_size=1, max_size=3
    ),
    framing=st.sampled_from(["single", "sse", "array"]),
)
def test_answers_are_whole_in_every_framing(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], framing: str
) -> None:
    shelf = Shelf(tmp_path_factory.mktemp("shelf"))
    events, parts = [], {}
    for number, size in enumerate(sizes):
        key = f"sha256/ab/abc{number}{size}.jpg"
        asyncio.run(shelf.blobs.put_bytes(bytes([number]) * size, key))
        # one name is the beginning of another
        parts[f"spool:1:1{'0' * number}"] = AnswerPart(key=key, kind="image")
        part = {"inlineData": {"mimeType": "image/jpeg", "data": f"spool:1:1{'0' * number}"}}
        events.append({"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}]})
    answer = Answer(events=tuple(events), parts=parts)
    body = asyncio.run(body_of(answer, framing, shelf)).decode()
    if framing == "sse":
        assert all(line.startswith("data: ") or not line for line in body.split("\r\n"))
        documents = [json.loads(line[6:]) for line in body.split("\r\n") if line]
    else:
        whole = json.loads(body)
        documents = whole if framing == "array" else [whole]
    found = [
        base64.b64decode(part["inlineData"]["data"])
        for document in documents
        for part in document["candidates"][0]["content"]["parts"]
    ]
    assert found == [bytes([number]) * size for number, size in enumerate(sizes)]


async def test_a_file_that_shrank_is_no_success(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path)
    await kept(shelf)
    rendered = await render(told(record()), "single", shelf)
    path = await shelf.blobs.local(ONE_KEY, tmp_path)
    path.chmod(0o600)
    path.write_bytes(b"\xff")
    with pytest.raises(StorageError):
        [piece async for piece in rendered.stream()]


def test_a_stream_amounts_to_one_answer() -> None:
    def event(text: str, **more: Any) -> dict[str, Any]:
        content = {"role": "model", "parts": [{"text": text}]}
        return {"candidates": [{"content": content, "index": 0, **more}], "responseId": "r"}

    whole = merged(
        [
            event("a"),
            event("b"),
            {"candidates": [{"finishReason": "STOP", "index": 0}], "usageMetadata": {"n": 1}},
        ]
    )
    assert whole == {
        "candidates": [
            {
                "content": {"role": "model", "parts": [{"text": "a"}, {"text": "b"}]},
                "index": 0,
                "finishReason": "STOP",
            }
        ],
        "responseId": "r",
        "usageMetadata": {"n": 1},
    }


# ---------------------------------------------------------------- kept files and folders


def test_what_a_dead_process_left_is_swept(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
    long_ago = time.time() - ABANDONED - 10
    os.utime(old, (long_ago, long_ago))
    Inbox(tmp_path).sweep()
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
