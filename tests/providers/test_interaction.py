"""What interactions say, by bodies written from the SDK's types, and by odd ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.providers.bodies import ID, USAGE, WORDS, image, interaction, output, wire_of

from heliograph.errors import (
    Charged,
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    NoImage,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    UpstreamError,
)
from heliograph.providers.interaction import ENDED, Answer, answer_of, reply_of
from heliograph.providers.interaction_errors import CODES, failure_of
from heliograph.providers.interactions import (
    decode,
    read_created,
)
from heliograph.providers.kinds import Kind, kind_of, model_is_gone

# ---------------------------------------------------------------- decode


def test_a_completed_interaction(tmp_path: Path) -> None:
    thought = {
        "type": "thought",
        "signature": "c2lnbmF0dXJl",
        "summary": [{"type": "text", "text": "**Composing**"}, image(b"draft")],
    }
    asked = {"type": "user_input", "content": [image(b"reference"), {"type": "text", "text": "x"}]}
    body = interaction(
        asked,
        thought,
        output(image(b"first"), {"type": "text", "text": "Here it is"}),
        output(image(b"last", "image/png")),
        usage=USAGE,
    )
    reply = decode(wire_of(body, tmp_path))
    assert [(i.path.read_bytes(), i.thought, i.declared_type) for i in reply.images] == [
        (b"draft", True, "image/jpeg"),
        (b"first", False, "image/jpeg"),
        (b"last", False, "image/png"),
    ]
    # as in generateContent, the signature is with the first thing that the thought led to
    assert [i.signature is not None for i in reply.images] == [False, True, False]
    signature = reply.images[1].signature
    assert signature is not None
    assert signature.path.read_text() == "c2lnbmF0dXJl"
    assert [(t.text, t.thought) for t in reply.texts] == [
        ("**Composing**", True),
        ("Here it is", False),
    ]
    places = [*(i.position for i in reply.images), *(t.position for t in reply.texts)]
    assert sorted(places) == [0, 1, 2, 3, 4]
    assert reply.usage is not None
    assert (reply.usage.prompt_tokens, reply.usage.candidate_tokens) == (37, 1140)
    assert (reply.usage.image_tokens, reply.usage.thought_tokens) == (1120, 177)
    assert (reply.usage.tier, reply.usage.anomaly) == ("flex", None)
    assert (reply.response_id, reply.model_version) == (ID, "gemini-3-pro-image")
    assert (reply.refusal, reply.finish_reason) == (None, "COMPLETED")


def test_thoughts_that_the_output_contains_are_not_paid_twice(tmp_path: Path) -> None:
    usage = {**USAGE, "total_output_tokens": 1317}
    reply = decode(wire_of(interaction(output(image(b"x")), usage=usage), tmp_path))
    assert reply.usage is not None
    assert (reply.usage.candidate_tokens, reply.usage.thought_tokens) == (1140, 177)


@pytest.mark.parametrize("value", [-1, 1.5, True, 10**12, "many"])
def test_usage_that_cannot_be_believed_says_so(value: Any, tmp_path: Path) -> None:
    usage = {**USAGE, "total_thought_tokens": value}
    body = json.dumps(interaction(output(image(b"x")))).encode()[:-1]
    body += b',"usage":' + json.dumps(usage).encode() + b"}"
    reply = decode(wire_of(body, tmp_path))
    assert reply.usage is not None
    assert reply.usage.anomaly


def test_grounding(tmp_path: Path) -> None:
    cited = [{"type": "url_citation", "url": "https://a.example/1", "title": "A"}]
    body = interaction(
        {"type": "google_search_call", "id": "1", "arguments": {}, "search_type": "web_search"},
        {"type": "google_search_result", "call_id": "1", "result": [{"search_suggestions": "<a>"}]},
        {
            "type": "google_search_call",
            "id": "2",
            "arguments": {"queries": ["snow leopards"]},
            "search_type": "image_search",
        },
        {
            "type": "google_search_result",
            "call_id": "2",
            "result": [{"search_suggestions": "<a>"}, {"search_suggestions": "<b>"}],
        },
        output(image(b"x"), {"type": "text", "text": "So", "annotations": cited}),
        usage={**USAGE, "grounding_tool_count": [{"type": "google_search", "count": 3}]},
    )
    body["steps"][0]["arguments"] = None  # recorded from Google, against its own types
    found = decode(wire_of(body, tmp_path)).grounding
    assert found is not None
    assert found.image_queries == ("snow leopards",)
    assert len(found.queries) == 2  # three were counted, and each is paid for
    assert found.entry_point == "<a>\n<b>"
    assert found.sources == ({"uri": "https://a.example/1", "title": "A"},)


@pytest.mark.parametrize(
    ("body", "kind", "charged"),
    [
        (interaction(output({"type": "text", "text": "No."}), usage=WORDS), NoImage, Charged.YES),
        (interaction(output({"type": "text", "text": "No."})), NoImage, Charged.NO),
        (interaction(usage=WORDS), NoImage, Charged.YES),
        (interaction(), NoImage, Charged.NO),
        (interaction(status="incomplete", usage=WORDS), NoImage, Charged.YES),
        (interaction(status="requires_action", usage=WORDS), NoImage, Charged.YES),
        (
            interaction(status="failed", errors=[{"code": "image_safety", "message": "no"}]),
            PolicyBlocked,
            Charged.NO,
        ),
        (
            interaction(
                status="failed",
                usage=USAGE,
                errors=[{"code": "https://errors.example/CONTENT_BLOCKED", "message": "no"}],
            ),
            PolicyBlocked,
            Charged.NO,
        ),
        (
            interaction(status="failed", usage=USAGE, errors=[{"code": "no_image"}]),
            NoImage,
            Charged.YES,
        ),
        (
            interaction(status="failed", usage=USAGE, errors=[{"code": "image_other"}]),
            NoImage,
            Charged.NO,
        ),
    ],
)
def test_an_answer_without_a_picture_is_a_refusal(
    body: dict[str, Any], kind: type[HeliographError], charged: Charged, tmp_path: Path
) -> None:
    refusal = decode(wire_of(body, tmp_path)).refusal
    assert type(refusal) is kind
    assert refusal.charged is charged


def test_a_picture_that_is_counted_and_not_shown_is_never_free(tmp_path: Path) -> None:
    error = failure(tmp_path, status="completed", usage=USAGE)
    assert isinstance(error, ProtocolError)
    assert error.charged is Charged.UNKNOWN


def failure(tmp_path: Path, **fields: Any) -> HeliographError:
    with pytest.raises(HeliographError) as caught:
        decode(wire_of(interaction(**fields), tmp_path))
    return caught.value


def test_a_failure_is_free_only_if_the_api_says_so(tmp_path: Path) -> None:
    down = [{"code": "service_unavailable", "message": "busy"}]
    error = failure(tmp_path, status="failed", errors=down)
    assert isinstance(error, Overloaded)
    assert (error.charged, error.facts["interaction"]) == (Charged.NO, ID)
    assert failure(tmp_path, status="failed", errors=down, usage=USAGE).charged is Charged.UNKNOWN
    assert failure(tmp_path, status="failed").charged is Charged.UNKNOWN
    odd = [{"code": "odd", "message": "?"}]
    assert failure(tmp_path, status="failed", errors=odd).charged is Charged.UNKNOWN
    assert failure(tmp_path, status="cancelled").charged is Charged.UNKNOWN


def test_a_step_can_say_what_failed(tmp_path: Path) -> None:
    body = interaction(status="failed")
    body["steps"] = [{"type": "model_output", "error": {"code": 4, "message": "too late"}}]
    with pytest.raises(DeadlineExceeded):
        decode(wire_of(body, tmp_path))


def test_a_picture_of_a_failed_interaction_is_kept(tmp_path: Path) -> None:
    body = interaction(output(image(b"x")), status="failed", errors=[{"code": "api_error"}])
    reply = decode(wire_of(body, tmp_path))
    assert (len(reply.images), reply.refusal, reply.salvaged) == (1, None, True)


@pytest.mark.parametrize("status", ["in_progress", "queued", "a state of tomorrow"])
def test_what_may_still_become_a_picture_is_no_failure(status: str, tmp_path: Path) -> None:
    error = failure(tmp_path, status=status)
    assert isinstance(error, OutcomeUnknown)
    assert (error.charged, error.facts["interaction"]) == (Charged.UNKNOWN, ID)
    assert error.facts["may_be_asked_for"]


# ---------------------------------------------------------------- errors


def error_of(code: str, status: int, tmp_path: Path, **headers: str) -> HeliographError:
    body = {"error": {"code": code, "message": "It says why."}}
    wire = wire_of(body, tmp_path, status, {k.replace("_", "-"): v for k, v in headers.items()})
    with pytest.raises(HeliographError) as caught:
        read_created(wire)
    assert caught.value.charged is Charged.NO
    assert caught.value.why == "It says why."
    return caught.value


@pytest.mark.parametrize(
    ("code", "status", "kind", "treated"),
    [
        ("invalid_request", 400, RequestRejected, Kind.CALLER),
        ("authentication", 401, CredentialRejected, Kind.CREDENTIAL),
        ("payment_required", 402, QuotaExhausted, Kind.SPEND_LIMIT),
        ("permission_denied", 403, CredentialRejected, Kind.CREDENTIAL),
        ("model_not_found", 404, RequestRejected, Kind.CALLER),
        ("aborted", 409, Overloaded, Kind.CAPACITY),
        ("out_of_range", 416, RequestRejected, Kind.CALLER),
        ("rate_limit_exceeded", 429, RateLimited, Kind.RATE),
        ("too_many_requests", 429, RateLimited, Kind.RATE),
        ("quota_exceeded", 429, QuotaExhausted, Kind.TERMINAL_QUOTA),
        ("cancelled", 499, UpstreamError, Kind.CALLER),
        ("api_error", 500, Overloaded, Kind.CAPACITY),
        ("unimplemented", 501, RequestRejected, Kind.CALLER),
        ("service_unavailable", 503, Overloaded, Kind.CAPACITY),
        ("deadline_exceeded", 504, DeadlineExceeded, Kind.DEADLINE),
        ("content_blocked", 400, PolicyBlocked, Kind.POLICY),
        ("image_safety", 400, PolicyBlocked, Kind.POLICY),
        ("no_image", 400, NoImage, Kind.NO_IMAGE),
        ("a_code_of_tomorrow", 503, Overloaded, Kind.CAPACITY),
    ],
)
def test_codes(
    code: str, status: int, kind: type[HeliographError], treated: Kind, tmp_path: Path
) -> None:
    error = error_of(code, status, tmp_path)
    assert isinstance(error, kind)
    assert kind_of(error) is treated
    if not isinstance(error, PolicyBlocked | NoImage):
        assert (error.facts["http_status"], error.facts["code"]) == (status, code)
    assert model_is_gone(error) is (code == "model_not_found")


def test_every_code_of_the_table_has_a_class(tmp_path: Path) -> None:
    for code, (status, _) in CODES.items():
        assert not isinstance(error_of(code, status, tmp_path), ProtocolError)


def test_a_told_wait_is_kept(tmp_path: Path) -> None:
    assert error_of("too_many_requests", 429, tmp_path, retry_after="37").retry_after == 37.0
    details = [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "41s"}]
    body = {"error": {"code": "rate_limit_exceeded", "message": "slow", "details": details}}
    assert failure_of(wire_of(body, tmp_path, 429)).retry_after == 41.0


def test_the_usual_envelope_is_understood_too(tmp_path: Path) -> None:
    reason = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
    error = {"code": 400, "status": "INVALID_ARGUMENT", "message": "bad", "details": [reason]}
    assert isinstance(failure_of(wire_of([{"error": error}], tmp_path, 400)), CredentialRejected)
    assert isinstance(failure_of(wire_of(b"<html>", tmp_path, 503)), Overloaded)


# ---------------------------------------------------------------- odd bodies

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.just("aGk="),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "type",
                    "data",
                    "uri",
                    "mime_type",
                    "text",
                    "code",
                    "queries",
                    "tokens",
                    "modality",
                    "count",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=6,
)
STEP = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(
            ["thought", "model_output", "google_search_call", "google_search_result", "new"]
        )
        | JSON,
        "content": st.lists(
            st.fixed_dictionaries(
                {"type": st.sampled_from(["image", "text", "audio"])},
                optional={"data": JSON, "uri": JSON, "text": JSON, "annotations": JSON},
            )
        )
        | JSON,
        "summary": JSON,
        "signature": JSON,
        "arguments": JSON,
        "result": JSON,
        "error": JSON,
    },
)
BODY = st.fixed_dictionaries(
    {},
    optional={
        "id": st.just(ID) | JSON,
        "status": st.sampled_from([*sorted(ENDED), "in_progress"]) | JSON,
        "steps": st.lists(STEP, max_size=4) | JSON,
        "usage": st.dictionaries(st.sampled_from([*USAGE, "grounding_tool_count"]), JSON) | JSON,
        "errors": JSON,
        "error": JSON,
        "model": JSON,
        "service_tier": JSON,
    },
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(body=BODY)
def test_any_body_is_a_reply_or_one_of_our_errors(body: Any, tmp_path: Path) -> None:
    charged, reply = None, None
    try:
        reply = decode(wire_of(body, tmp_path))
    except HeliographError as error:
        charged = error.charged
    if reply is None:
        assert charged is not Charged.NO or str(body.get("status")) in ENDED or "error" in body
        return
    assert body["status"] in ENDED
    assert (reply.refusal is None) == any(not i.thought for i in reply.images)
    # a picture that arrived is in the reply, whatever stands around it
    places = [*(i.position for i in reply.images), *(t.position for t in reply.texts)]
    assert len(places) == len(set(places))


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cut=st.integers(min_value=0))
def test_a_body_cut_anywhere_never_loses_the_call(cut: int, tmp_path: Path) -> None:
    whole = json.dumps(interaction(output(image(b"picture")), usage=USAGE)).encode()
    wire = wire_of(whole[: cut % len(whole)], tmp_path)
    created, charged = None, None
    try:
        created = read_created(wire)
    except HeliographError as error:
        charged = error.charged
    assert charged is Charged.UNKNOWN if created is None else created.id == ID


def test_links_are_told_apart_from_pictures(tmp_path: Path) -> None:
    uri = "https://host/v1beta/files/abc:download?alt=media"
    body = interaction(output({"type": "image", "mime_type": "image/jpeg", "uri": uri}))
    answer = answer_of(wire_of(body, tmp_path))
    assert isinstance(answer, Answer)
    reply, links = reply_of(answer)
    assert [link.uri for link in links] == [uri]
    assert reply.refusal is None
    with pytest.raises(OutcomeUnknown):
        decode(wire_of(body, tmp_path))
