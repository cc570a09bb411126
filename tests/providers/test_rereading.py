"""Answers that another process received: what can be used, and what is said of the rest."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from tests.providers import bodies
from tests.providers.test_gemini import candidate, image

from heliograph.errors import Charged, HeliographError, OutcomeUnknown, Overloaded, RateLimited
from heliograph.providers.rereading import reread_answer
from heliograph.providers.spool import RAW, Spool

PICTURE = b"a picture" * 50
WHOLE = candidate([{"text": "Here"}, image(PICTURE)])
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}


def spooled(
    folder: Path, body: Any, status: int = 200, headers: Mapping[str, str] = MappingProxyType({})
) -> Path:
    """An attempt of another process."""
    folder.mkdir(parents=True)
    spool = Spool(folder)
    spool.head(status, headers)
    spool.feed(body if isinstance(body, bytes) else json.dumps(body).encode())
    spool.close()
    return folder.parent


def reread(spool: Path, transport: str = "generate_content") -> Any:
    return reread_answer(spool, transport)


def lost(spool: Path, transport: str = "generate_content") -> OutcomeUnknown:
    with pytest.raises(OutcomeUnknown) as caught:
        reread_answer(spool, transport)
    assert caught.value.charged is Charged.UNKNOWN
    assert "lost with the process" in caught.value.what
    return caught.value


def test_a_whole_answer_is_used(tmp_path: Path) -> None:
    reply = reread(spooled(tmp_path / "attempt-1", WHOLE))
    assert [picture.path.read_bytes() for picture in reply.images] == [PICTURE]
    assert reply.texts[0].text == "Here"
    assert reply.finish_reason == "STOP"
    assert not reply.salvaged


def test_the_last_attempt_counts_by_its_number(tmp_path: Path) -> None:
    for number in (1, 2, 9):
        spooled(tmp_path / f"attempt-{number}", candidate([image(b"old")]))
    spooled(tmp_path / "attempt-10", WHOLE)
    reply = reread(tmp_path)
    assert reply.images[0].path.read_bytes() == PICTURE
    assert reply.images[0].path.parent.parent.name == "attempt-10"


def test_an_earlier_answer_is_never_taken_for_the_last(tmp_path: Path) -> None:
    spooled(tmp_path / "attempt-1", WHOLE)
    (tmp_path / "attempt-2").mkdir()
    assert lost(tmp_path).why == "Nothing of its answer arrived."


@pytest.mark.parametrize("make", [lambda _: None, lambda path: path.mkdir()])
def test_without_an_attempt_there_is_no_answer(make: Any, tmp_path: Path) -> None:
    make(tmp_path / "spool")
    assert lost(tmp_path / "spool").why == "Nothing of its answer arrived."


@pytest.mark.parametrize("end", [0, 1, 60, 200])
def test_an_answer_that_broke_off_before_its_picture_is_lost(end: int, tmp_path: Path) -> None:
    body = json.dumps(WHOLE).encode()[:end]
    error = lost(spooled(tmp_path / "attempt-1", body))
    assert isinstance(error.__cause__, HeliographError)
    assert error.why == error.__cause__.what


def test_every_cut_after_the_picture_saves_it(tmp_path: Path) -> None:
    body = json.dumps(WHOLE).encode()
    shown = body.rindex(b'"}}]') + 1
    for end in range(shown, len(body)):
        reply = reread(spooled(tmp_path / str(end) / "attempt-1", body[:end]))
        assert reply.images[0].path.read_bytes() == PICTURE
        assert reply.salvaged


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (429, {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}, RateLimited),
        (503, {"error": {"code": 503, "status": "UNAVAILABLE"}}, Overloaded),
    ],
)
def test_an_error_that_was_not_charged_is_raised_as_it_is(
    status: int, error: Any, kind: type[HeliographError], tmp_path: Path
) -> None:
    with pytest.raises(kind) as caught:
        reread(spooled(tmp_path / "attempt-1", error, status=status))
    assert caught.value.charged is Charged.NO


@pytest.mark.parametrize("said", [b"<html>busy</html>", b""])
def test_an_error_of_something_on_the_way_proves_nothing(said: bytes, tmp_path: Path) -> None:
    assert "on the way" in str(lost(spooled(tmp_path / "attempt-1", said, status=503)).why)


def test_an_error_behind_a_picture_may_be_charged(tmp_path: Path) -> None:
    both = [WHOLE, {"error": {"code": 503, "message": "overloaded"}}]
    assert "capacity" in str(lost(spooled(tmp_path / "attempt-1", both)).why)


@pytest.mark.parametrize(
    ("fields", "is_whole"),
    [
        ({"finishReason": "STOP"}, True),
        ({"finishReason": None}, False),
    ],
)
def test_a_stream_is_whole_only_with_its_last_word(
    fields: dict[str, Any], tmp_path: Path, *, is_whole: bool
) -> None:
    body = b"data: " + json.dumps(candidate([image(PICTURE)], **fields)).encode() + b"\n\n"
    reply = reread(spooled(tmp_path / "stream" / "attempt-1", body, headers=EVENTS))
    assert reply.images[0].path.read_bytes() == PICTURE
    assert reply.salvaged is not is_whole
    plain = reread(spooled(tmp_path / "plain" / "attempt-1", body))
    assert not plain.salvaged, "a plain body ends with its JSON"


def test_a_stream_that_was_blocked_is_whole(tmp_path: Path) -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}}
    body = b"data: " + json.dumps(blocked).encode() + b"\n\n"
    reply = reread(spooled(tmp_path / "attempt-1", body, headers=EVENTS))
    assert reply.block_reason == "SAFETY"
    assert not reply.salvaged


def test_the_form_of_the_answer_is_that_of_its_transport(tmp_path: Path) -> None:
    answer = bodies.interaction(bodies.output(bodies.image(PICTURE)), usage=bodies.USAGE)
    spool = spooled(tmp_path / "attempt-1", answer)
    reply = reread(spool, "interactions")
    assert reply.images[0].path.read_bytes() == PICTURE
    assert not reread(spool).images


def test_reading_again_leaves_what_was_there(tmp_path: Path) -> None:
    spool = spooled(tmp_path / "attempt-1", WHOLE)
    raw = (tmp_path / "attempt-1" / RAW).read_bytes()
    first, second = reread(spool), reread(spool)
    assert (tmp_path / "attempt-1" / RAW).read_bytes() == raw
    assert first == second
    assert first.images[0].path.read_bytes() == PICTURE
