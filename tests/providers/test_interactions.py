"""Interactions on the wire: what is sent is judged by the SDK's own request model."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from google.genai._gaos.types.interactions.createmodelinteraction import CreateModelInteraction
from tests.providers.bodies import ID, image, interaction, output, wire_of
from tests.providers.plans import plan_for, reference

from heliograph.errors import (
    Charged,
    InvalidRequest,
    OutcomeUnknown,
    ProtocolError,
)
from heliograph.providers.interaction import Link
from heliograph.providers.interaction_request import asking, fetching
from heliograph.providers.interactions import (
    encode,
    read_asked,
    read_created,
    unsupported,
)
from heliograph.providers.rereading import reread_answer, submitted_id
from heliograph.providers.wire import WireRequest
from heliograph.types import Signature


def body_of(request: WireRequest) -> dict[str, Any]:
    raw = b"".join(
        part if isinstance(part, bytes) else base64.b64encode(bytes(part.source))
        for part in request.body
        if not isinstance(part, Signature)
    )
    assert len(raw) == request.length
    value: dict[str, Any] = json.loads(raw)
    return value


def as_google_reads(request: WireRequest) -> CreateModelInteraction:
    """The body through the SDK's own model: every field known, every literal in its list."""
    body = body_of(request)
    read = CreateModelInteraction.model_validate(body)
    assert read.model_extra == {}
    assert "UnrecognizedStr" not in repr([type(v) for v in _leaves(read)])
    assert read.model_dump(exclude_none=True, warnings=False) == body
    return read


def _leaves(value: Any) -> list[Any]:
    if hasattr(value, "model_fields_set"):
        assert not value.model_extra, value
        return [leaf for v in dict(value).values() for leaf in _leaves(v)]
    if isinstance(value, list):
        return [leaf for v in value for leaf in _leaves(v)]
    return [value]


# ---------------------------------------------------------------- encode


def test_a_plain_request() -> None:
    request = encode(plan_for(aspect="16x9", size="4k"))
    assert (request.method, request.path, request.query) == ("POST", "/interactions", "")
    as_google_reads(request)
    assert body_of(request) == {
        "model": "gemini-3-pro-image",
        "input": [{"type": "text", "text": "A snow leopard"}],
        "response_format": {"type": "image", "aspect_ratio": "16:9", "image_size": "4K"},
        "background": True,
        "store": True,
    }


def test_every_field() -> None:
    plan = plan_for(
        'Say "data": \\ 雪豹\n',
        model="gemini-nano-banana-2.1",
        size="2K",
        aspect="1:8",
        system='sys "data":"x"',
        temperature=0.5,
        top_p=0.9,
        seed=7,
        safety={"harassment": "BLOCK_ONLY_HIGH", "hate_speech": "off"},
        thinking="high",
        include_thoughts=True,
        ground="images",
        checked_references=(reference(b"one"), reference(b"twenty")),
    )
    read = as_google_reads(encode(plan, background=False, delivery="uri"))
    body = body_of(encode(plan, background=False, delivery="uri"))
    text, *references = body["input"]
    assert text == {"type": "text", "text": plan.request.prompt}
    assert [base64.b64decode(part["data"]) for part in references] == [b"one", b"twenty"]
    assert {part["mime_type"] for part in references} == {"image/png"}
    assert read.system_instruction == 'sys "data":"x"'
    assert body["safety_settings"] == [
        {"type": "harassment", "threshold": "block_only_high"},
        {"type": "hate_speech", "threshold": "off"},
    ]
    assert body["tools"] == [
        {"type": "google_search", "search_types": ["web_search", "image_search"]}
    ]
    assert body["generation_config"] == {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 7,
        "thinking_level": "high",
        "thinking_summaries": "auto",
    }
    assert body["response_format"]["delivery"] == "uri"
    assert "background" not in body


@pytest.mark.parametrize("tier", ["flex", "priority"])
def test_tiers(tier: str) -> None:
    assert as_google_reads(encode(plan_for(tier=tier))).service_tier == tier
    assert "service_tier" not in body_of(encode(plan_for()))


def test_the_web_is_searched_by_default_search_types() -> None:
    assert body_of(encode(plan_for(ground="web")))["tools"] == [{"type": "google_search"}]


def test_what_interactions_cannot_carry_is_named() -> None:
    plan = plan_for(stream=True)
    assert [problem.field for problem in unsupported(plan)] == ["stream"]
    with pytest.raises(InvalidRequest, match="stream"):
        encode(plan)
    assert unsupported(plan_for()) == []


def test_an_id_cannot_leave_its_place_in_the_address() -> None:
    assert asking("v1_a/../../files?x#y").path == "/interactions/v1_a%2F..%2F..%2Ffiles%3Fx%23y"


@pytest.mark.parametrize(
    "uri",
    [
        "https://host:8080/v1beta/files/abc-1:download?alt=media",
        "http://HOST:8080/prefix/v1/files/abc-1:download?alt=media",
        "https://host:8080/v1beta/files/abc-1",
    ],
)
def test_a_picture_is_fetched_from_the_same_host(uri: str) -> None:
    link = Link(position=0, uri=uri, declared_type=None, thought=False)
    request = fetching(link, "host:8080")
    assert (request.method, request.path) == ("GET", "/files/abc-1:download")
    assert request.query == "alt=media"


@pytest.mark.parametrize(
    "uri",
    [
        "https://evil.example/v1beta/files/abc:download?alt=media",
        "https://host:8080@evil.example/v1/files/abc:download",
        "https://host:8080.evil.example/v1/files/abc:download",
        "https://host:9090/v1/files/abc:download",
        "https://host:8080/v1/files/../interactions/x:download",
        "https://host:8080/v1/files/a%2e%2e:download",
        "https://host:8080/elsewhere",
        "file:///etc/passwd",
        "https://[",
        "",
    ],
)
def test_a_picture_is_fetched_from_nowhere_else(uri: str) -> None:
    link = Link(position=0, uri=uri, declared_type=None, thought=False)
    with pytest.raises(ProtocolError) as caught:
        fetching(link, "host:8080")
    assert caught.value.charged is Charged.YES


# ---------------------------------------------------------------- what was answered


def test_submitting_brings_an_id_or_the_answer(tmp_path: Path) -> None:
    begun = read_created(wire_of(interaction(status="in_progress"), tmp_path))
    assert (begun.id, begun.answer, begun.reply) == (ID, None, None)
    done = read_created(wire_of(interaction(output(image(b"x"))), tmp_path))
    assert done.id == ID
    assert done.answer is not None
    with pytest.raises(OutcomeUnknown):
        read_created(wire_of({"status": "in_progress"}, tmp_path))


def test_an_id_is_found_in_an_answer_that_broke_off(tmp_path: Path) -> None:
    whole = json.dumps(interaction(output(image(b"x" * 99))))
    begun = read_created(wire_of(whole[: whole.index("data") + 30].encode(), tmp_path))
    assert (begun.id, begun.answer, begun.reply) == (ID, None, None)


@pytest.mark.parametrize("odd", ["", "..", "a b", "a\n", 7, None, "x" * 2000])
def test_an_id_that_cannot_be_asked_for_is_none(odd: Any, tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown):
        read_created(wire_of({"id": odd, "status": "in_progress"}, tmp_path))


def test_another_interaction_is_no_answer(tmp_path: Path) -> None:
    wire = wire_of(interaction(output(image(b"somebody else's"))), tmp_path)
    assert read_asked(wire, ID).has_ended
    with pytest.raises(ProtocolError):
        read_asked(wire, "v1_mine")


def spool_answer(folder: Path, body: bytes, status: int = 200) -> None:
    folder.mkdir(parents=True)
    (folder / "head.json").write_text(json.dumps({"status": status, "headers": {}}))
    (folder / "body.raw").write_bytes(body)


def test_a_dead_process_left_an_id_or_a_whole_answer(tmp_path: Path) -> None:
    assert submitted_id(tmp_path) is None
    spool_answer(tmp_path / "attempt-9", b'{"error":{"code":"api_error"}}', 500)
    assert submitted_id(tmp_path) is None
    begun = json.dumps(interaction(status="in_progress")).encode()
    spool_answer(tmp_path / "attempt-10", begun)
    assert submitted_id(tmp_path) == ID
    with pytest.raises(OutcomeUnknown):
        reread_answer(tmp_path, ID)
    done = json.dumps(interaction(output(image(b"x")))).encode()
    spool_answer(tmp_path / "attempt-11", done)
    assert reread_answer(tmp_path, ID).images[0].path.read_bytes() == b"x"
