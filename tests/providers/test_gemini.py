"""`encode` and `decode` on wire JSON, by the shapes of gemini-api.md section 2."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.providers.plans import plan_for, reference

from heliograph.errors import (
    Charged,
    HeliographError,
    NoImage,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    RequestRejected,
)
from heliograph.providers.gemini import decode, encode
from heliograph.providers.wire import WireReply, WireRequest, read_bytes
from heliograph.types import Reply, Signature, Timing


def body_of(request: WireRequest) -> dict[str, Any]:
    raw = b"".join(
        part if isinstance(part, bytes) else base64.b64encode(bytes(part.source))
        for part in request.body
        if not isinstance(part, Signature)
    )
    assert len(raw) == request.length
    value: dict[str, Any] = json.loads(raw)
    return value


def reply_of(body: Any, folder: Path, status: int = 200) -> Reply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    tapped = read_bytes(raw, folder, chunk=7)
    return decode(WireReply(status=status, headers={}, tapped=tapped, timing=Timing()))


def image(data: bytes, **fields: Any) -> dict[str, Any]:
    inline = {"mimeType": "image/jpeg", "data": base64.b64encode(data).decode()}
    return {"inlineData": inline, **fields}


def candidate(parts: list[Any] | None, **fields: Any) -> dict[str, Any]:
    content = {"role": "model", "parts": parts}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0, **fields}]}


def test_a_plain_request() -> None:
    request = encode(plan_for(aspect="16x9", size="4k"))
    assert request.path == "/models/gemini-3-pro-image:generateContent"
    assert request.query == ""
    assert body_of(request) == {
        "contents": [{"role": "user", "parts": [{"text": "A snow leopard"}]}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "4K"},
        },
    }


def test_every_field() -> None:
    plan = plan_for(
        'Say "data": \\ "reference-goes-here" 雪豹\n',
        model="gemini-nano-banana-2.1",
        size="2K",
        aspect="1:8",
        system='sys "data":"x"',
        temperature=0.5,
        top_p=0.9,
        seed=7,
        safety={"harassment": "BLOCK_ONLY_HIGH"},
        thinking="high",
        include_thoughts=True,
        ground="images",
        stream=True,
        checked_references=(reference(b"one"), reference(b"twenty")),
    )
    request = encode(plan)
    assert request.path.endswith(":streamGenerateContent")
    assert request.query == "alt=sse"
    body = body_of(request)
    parts = body["contents"][0]["parts"]
    assert parts[0] == {"text": plan.request.prompt}
    assert [base64.b64decode(p["inlineData"]["data"]) for p in parts[1:]] == [b"one", b"twenty"]
    assert parts[1]["inlineData"]["mimeType"] == "image/png"
    assert body["systemInstruction"]["parts"] == [{"text": 'sys "data":"x"'}]
    assert body["safetySettings"] == [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_ONLY_HIGH"}
    ]
    assert body["tools"] == [
        {"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}
    ]
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "seed": 7,
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
        "imageConfig": {"aspectRatio": "1:8", "imageSize": "2K"},
    }


def test_tiers() -> None:
    assert body_of(encode(plan_for(tier="flex")))["serviceTier"] == "flex"
    assert "serviceTier" not in body_of(encode(plan_for(tier="standard")))


def test_the_last_image_that_is_no_thought_is_found_in_any_order(tmp_path: Path) -> None:
    reply = reply_of(
        candidate(
            [
                {"text": "**Composing**", "thought": True},
                image(b"draft", thought=True),
                image(b"first", thoughtSignature="c2lnMQ=="),
                {"text": "Here it is", "thoughtSignature": "c2lnMg=="},
                image(b"last", thoughtSignature="c2lnMw=="),
            ]
        ),
        tmp_path,
    )
    assert [(i.path.read_bytes(), i.thought) for i in reply.images] == [
        (b"draft", True),
        (b"first", False),
        (b"last", False),
    ]
    signatures = [i.signature.path.read_text() for i in reply.images if i.signature]
    assert signatures == ["c2lnMQ==", "c2lnMw=="]
    assert [(t.text, t.thought) for t in reply.texts] == [
        ("**Composing**", True),
        ("Here it is", False),
    ]
    assert reply.refusal is None


def test_a_stream_is_one_reply(tmp_path: Path) -> None:
    first = candidate([{"text": "Here"}])
    del first["candidates"][0]["finishReason"]
    last = candidate([image(b"picture")]) | {
        "usageMetadata": {"promptTokenCount": 8, "candidatesTokenCount": 2000},
        "responseId": "r1",
        "modelVersion": "gemini-3-pro-image",
    }
    events = b"".join(b"data: " + json.dumps(e).encode() + b"\r\n\r\n" for e in (first, last))
    reply = reply_of(events, tmp_path)
    assert reply.finish_reason == "STOP"
    assert reply.usage is not None
    assert reply.usage.candidate_tokens == 2000
    assert (reply.response_id, reply.model_version) == ("r1", "gemini-3-pro-image")
    assert len(reply.images) == 1


def test_usage_by_modality(tmp_path: Path) -> None:
    body = candidate([image(b"x")])
    body["usageMetadata"] = {
        "promptTokenCount": 8,
        "candidatesTokenCount": 2100,
        "thoughtsTokenCount": 192,
        "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 2000}],
        "serviceTier": "standard",
    }
    usage = reply_of(body, tmp_path).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.image_tokens, usage.thought_tokens) == (8, 2000, 192)
    assert (usage.candidate_tokens, usage.tier, usage.anomaly) == (2100, "standard", None)


@pytest.mark.parametrize("bad", [-1, 10**18, "many", True, 1.5, float("nan")])
def test_absurd_usage_is_an_anomaly(tmp_path: Path, bad: object) -> None:
    body = candidate([image(b"x")]) | {"usageMetadata": {"candidatesTokenCount": bad}}
    usage = reply_of(body, tmp_path).usage
    assert usage is not None
    assert usage.candidate_tokens == 0
    assert usage.anomaly


def test_grounding_is_kept(tmp_path: Path) -> None:
    grounding = {
        "webSearchQueries": ["q1"],
        "imageSearchQueries": ["q2"],
        "searchEntryPoint": {"renderedContent": "<div>Search</div>"},
        "groundingChunks": [
            {"web": {"uri": "https://example.com/a", "title": "A"}},
            {"image": {"sourceUri": "https://example.com/b", "imageUri": "https://example.com/i"}},
        ],
    }
    kept = reply_of(candidate([image(b"x")], groundingMetadata=grounding), tmp_path).grounding
    assert kept is not None
    assert (kept.queries, kept.image_queries) == (("q1",), ("q2",))
    assert kept.entry_point == "<div>Search</div>"
    assert kept.sources[0]["title"] == "A"
    assert kept.sources[1]["image_uri"] == "https://example.com/i"


POLICY = ["SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "SPII"]


@pytest.mark.parametrize("reason", [*POLICY, "BLOCKLIST", "RECITATION", "IMAGE_RECITATION"])
@pytest.mark.parametrize("content", [{}, {"role": "model"}, {"parts": None}, None])
def test_policy_refusals(tmp_path: Path, reason: str, content: Any) -> None:
    body = {"candidates": [{"content": content, "finishReason": reason, "finishMessage": "Why"}]}
    refusal = reply_of(body, tmp_path).refusal
    assert isinstance(refusal, PolicyBlocked)
    assert refusal.charged is Charged.NO
    assert refusal.why == "Why"


def test_a_blocked_prompt(tmp_path: Path) -> None:
    refusal = reply_of({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}}, tmp_path).refusal
    assert isinstance(refusal, PolicyBlocked)
    assert refusal.facts["block_reason"] == "PROHIBITED_CONTENT"


@pytest.mark.parametrize(
    ("reason", "charged"),
    [
        ("NO_IMAGE", Charged.YES),
        ("STOP", Charged.YES),
        ("MAX_TOKENS", Charged.YES),
        ("IMAGE_OTHER", Charged.NO),
    ],
)
def test_answers_without_a_picture(tmp_path: Path, reason: str, charged: Charged) -> None:
    body = candidate([{"text": "I cannot draw this."}], finishReason=reason)
    body["usageMetadata"] = {"promptTokenCount": 8, "candidatesTokenCount": 20}
    refusal = reply_of(body, tmp_path).refusal
    assert isinstance(refusal, NoImage)
    assert refusal.charged is charged
    assert "I cannot draw this." in str(refusal.why)


def test_an_unknown_reason_without_a_picture_may_be_charged(tmp_path: Path) -> None:
    body = candidate([{"text": "Sorry."}], finishReason="NEW_REASON_2027")
    with pytest.raises(ProtocolError, match="NEW_REASON_2027") as caught:
        reply_of(body, tmp_path)
    assert caught.value.charged is Charged.UNKNOWN


@pytest.mark.parametrize("body", [{"candidates": []}, {}, {"candidates": [{"content": {}}]}])
def test_empty_answers_are_no_image(tmp_path: Path, body: dict[str, Any]) -> None:
    assert isinstance(reply_of(body, tmp_path).refusal, NoImage)


def test_thoughts_alone_are_no_image(tmp_path: Path) -> None:
    reply = reply_of(candidate([image(b"draft", thought=True)]), tmp_path)
    assert isinstance(reply.refusal, NoImage)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ({"error": {"code": 503, "message": "busy"}}, Overloaded),
        ([{"error": {"code": 400, "message": "bad"}}], RequestRejected),
        (b'data: {"candidates":[]}\n\n{"error":{"code":503}}\n\n', Overloaded),
        (b"<html>", ProtocolError),
        (b'{"candidates":[],"candidates":[]}', ProtocolError),
    ],
)
def test_errors_inside_a_success(tmp_path: Path, body: Any, kind: type[HeliographError]) -> None:
    with pytest.raises(kind):
        reply_of(body, tmp_path)


def test_an_error_after_an_image_may_have_cost(tmp_path: Path) -> None:
    events = (
        b"data: " + json.dumps(candidate([image(b"x")])).encode() + b'\n\n{"error":{"code":503}}\n'
    )
    with pytest.raises(Overloaded) as caught:
        reply_of(events, tmp_path)
    assert caught.value.charged is Charged.UNKNOWN
