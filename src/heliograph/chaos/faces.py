"""The faces of a gateway as an outsider knows them: what is sent, and what an answer means.

    library   no gateway: `AsyncHeliograph` itself
    openai    POST /openai/v1/images/generations, as OpenAI's SDK sends it
    gemini    POST /v1beta/models/MODEL:generateContent, as google-genai sends it

Which code and status each error must have is written down here from the reliability page and
Google's and OpenAI's references, not taken from the gateway. Invariant: an answer that is not as
its face promises is never just read around; it is a complaint.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from heliograph.chaos.row import KEPT
from heliograph.chaos.speaking import Answer
from heliograph.money import parse_dollars
from heliograph.planning import DEFAULT_MODEL

LIBRARY, OPENAI, GEMINI = "library", "openai", "gemini"
FACES = (LIBRARY, OPENAI, GEMINI)
LONGEST_RETRY = 60.0  # seconds; SDKs believe no longer Retry-After
# code on a face: the library's code for it, and the HTTP status
CODES: Mapping[str, tuple[str, int]] = {
    "invalid_request": ("invalid_request", 400),
    "price_unknown": ("price_unknown", 400),
    "cost_limit": ("cost_limit", 400),
    "upstream_rejected": ("request_rejected", 400),
    "content_policy": ("policy_blocked", 400),
    "unauthenticated": ("unauthenticated", 401),
    "forbidden": ("forbidden", 403),
    "model_not_found": ("request_rejected", 404),
    "not_found": ("not_found", 404),
    "idempotency_key_in_use": ("idempotency_key_in_use", 409),
    "idempotency_key_reused": ("idempotency_key_reused", 422),
    "no_image": ("no_image", 422),
    "rate_limited": ("rate_limited", 429),
    "upstream_quota": ("quota_exhausted", 429),
    "insufficient_quota": ("budget_exceeded", 429),
    "upstream_credential": ("credential_rejected", 502),
    "upstream_tls": ("upstream_tls", 502),
    "upstream_corrupt": ("corrupt_image", 502),
    "upstream_protocol": ("upstream_protocol", 502),
    "size_mismatch": ("size_mismatch", 502),
    "busy": ("busy", 503),
    "overloaded": ("overloaded", 503),
    "upstream_closed": ("upstream_closed", 503),
    "upstream_unreachable": ("not_sent", 503),
    "storage": ("storage", 503),
    "storage_low": ("storage_low", 503),
    "deadline_exceeded": ("deadline_exceeded", 504),
    "outcome_unknown": ("outcome_unknown", 504),
}
# Google's words for a picture that its filters hold back
POLICY = frozenset(
    (
        *("SAFETY", "IMAGE_SAFETY", "PROHIBITED_CONTENT", "IMAGE_PROHIBITED_CONTENT", "SPII"),
        *("BLOCKLIST", "RECITATION", "IMAGE_RECITATION"),
    )
)
# statuses that google-genai repeats, with nothing by which the repetition could be known; so on
# that face none of them may stand for what was perhaps charged
REPEATED = (408, 429, 500, 502, 503, 504)
ABORTED = 409
SPENT = ("x-heliograph-job", "x-heliograph-cost-usd", "x-heliograph-verified")


@dataclass(frozen=True, kw_only=True)
class Question:
    """One request for an image."""

    path: str
    document: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Read:
    """What an answer says, in the library's words."""

    code: str  # `row.KEPT`, or the library's code
    job: str | None = None
    record: str | None = None
    sha256: str | None = None  # of the picture
    cost: int | None = None  # micro-dollars
    verdict: str | None = None
    charged: str | None = None
    retry_after: float | None = None  # seconds
    warnings: tuple[str, ...] = ()
    should_retry: bool = False
    replayed: bool = False
    wrong: tuple[str, ...] = field(default=())  # not as the face promises


# ---------------------------------------------------------------- asking


def question(face: str, prompt: str, options: Mapping[str, Any], key: str) -> Question:
    """A request as an SDK of this face sends it.

    Args:
        options: of `generate`; those that the face has a place for.
        key: of the gateway.

    Raises:
        ValueError: the face has no place for an option.
    """
    asked = {"size": "1K", **options}
    if face == OPENAI:
        headers = {"authorization": f"Bearer {key}", "x-stainless-lang": "python"}
        path = "/openai/v1/images/generations"
        return Question(path=path, document=_openai(prompt, asked), headers=headers)
    headers = {"x-goog-api-key": key, "x-goog-api-client": "google-genai-sdk/2 gl-python/3"}
    path = f"/v1beta/models/{DEFAULT_MODEL}:generateContent"
    return Question(path=path, document=_gemini(prompt, asked), headers=headers)


def settings_for(face: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the operator of a gateway must set where a face has no word for an option."""
    return {"server_mismatch": "error"} if face == GEMINI and options.get("strict") else {}


def _openai(prompt: str, asked: dict[str, Any]) -> Mapping[str, Any]:
    tier, pixels = asked.pop("size"), asked.pop("pixels", None)
    aspect = asked.pop("aspect", None)
    document = {
        "model": DEFAULT_MODEL,
        "prompt": prompt,
        "n": 1,
        "size": pixels or tier,
        **({"aspect_ratio": aspect} if aspect else {}),
    }
    if asked.keys() - {"strict"}:
        raise ValueError(f"the OpenAI face is not asked for {', '.join(asked)}")
    return {**document, **({"heliograph": asked} if asked else {})}


def _gemini(prompt: str, asked: dict[str, Any]) -> Mapping[str, Any]:
    asked.pop("strict", None)  # a setting of the operator: `settings_for`
    shape = {"imageSize": asked.pop("size")}
    if "aspect" in asked:
        shape["aspectRatio"] = asked.pop("aspect")
    if asked:
        raise ValueError(f"the Gemini face is not asked for {', '.join(asked)}")
    return {
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"responseModalities": ["TEXT", "IMAGE"], "imageConfig": shape},
    }


# ---------------------------------------------------------------- reading


def read(face: str, answer: Answer) -> Read:
    """What an answer means, and what of it is not as its face promises."""
    document = answer.document()
    if not isinstance(document, dict):
        what = f"HTTP {answer.status} without a JSON object: {answer.body[:100]!r}"
        return Read(code="unreadable", wrong=(what,))
    if "error" in document:
        return _error(face, answer, document["error"])
    if answer.status != 200:
        what = f"HTTP {answer.status} without an error in it"
        return Read(code="unreadable", wrong=(what,))
    return _from_openai(answer, document) if face == OPENAI else _from_gemini(answer, document)


def _error(face: str, answer: Answer, error: Mapping[str, Any]) -> Read:
    if face == OPENAI:
        word, more = error.get("code"), error.get("heliograph") or {}
    else:
        word, more = _google(error)
    retry = answer.headers.get("x-should-retry")
    after = answer.headers.get("retry-after")
    known = CODES.get(str(word))
    found = Read(
        code=known[0] if known else str(word),
        job=more.get("job"),
        record=more.get("record"),
        charged=more.get("charged"),
        retry_after=float(after) if after else None,
        should_retry=retry == "true",
        replayed=answer.headers.get("idempotency-replayed") == "true",
    )
    return replace(found, wrong=tuple(_error_wrongs(face, answer, error, found, known)))


def _google(error: Mapping[str, Any]) -> tuple[str | None, Mapping[str, Any]]:
    """Code and facts of an error in Google's envelope."""
    for detail in error.get("details") or ():
        if detail.get("@type") == "type.googleapis.com/google.rpc.ErrorInfo":
            return detail.get("reason"), detail.get("metadata") or {}
    return None, {}


def _status(face: str, usual: int, charged: str | None) -> int:
    """The HTTP status that an error must have on a face."""
    is_repeated = face == GEMINI and usual in REPEATED
    return ABORTED if is_repeated and charged != "no" else usual


def _error_wrongs(
    face: str,
    answer: Answer,
    error: Mapping[str, Any],
    found: Read,
    known: tuple[str, int] | None,
) -> Iterator[str]:
    status, retry = answer.status, answer.headers.get("x-should-retry")
    if known is None:
        yield f"HTTP {status} with the code {found.code}, which no row knows"
    elif status != (wanted := _status(face, known[1], found.charged)):
        yield f"{found.code} came with HTTP {status}, not {wanted}"
    if retry not in ("true", "false"):
        yield f"HTTP {status} {found.code} without x-should-retry"
    is_at_work = status >= 500 or found.charged != "no"
    if is_at_work and not found.job and found.code != "busy":
        yield f"HTTP {status} {found.code} names no job"
    if found.should_retry and found.charged != "no":
        yield f"{found.code} asks to be sent again, and may have been charged"
    if found.should_retry and (found.retry_after or 0.0) > LONGEST_RETRY:
        yield f"{found.code} asks to be sent again, in {found.retry_after:.0f} s"
    if face == GEMINI and error.get("code") != status:
        yield f"the envelope says {error.get('code')}, the status line {status}"
    if face == GEMINI and found.code in ("policy_blocked", "no_image"):
        yield f"{found.code} is an error here, and not Google's own answer"


def _spent_wrongs(answer: Answer) -> Iterator[str]:
    for name in SPENT:
        if name not in answer.headers:
            yield f"an answer that was paid for has no {name}"


def _from_openai(answer: Answer, document: Mapping[str, Any]) -> Read:
    headers, more = answer.headers, document.get("heliograph") or {}
    pictures = more.get("pictures") or [{}]
    (image,) = document.get("data") or [{}]
    data = _decoded(image.get("b64_json"))
    wrong = [*_spent_wrongs(answer), *([] if data else ["there is no picture in it"])]
    if more.get("job") != headers.get("x-heliograph-job"):
        wrong.append("body and headers name different jobs")
    return Read(
        code=KEPT,
        job=more.get("job"),
        record=pictures[0].get("record"),
        sha256=hashlib.sha256(data).hexdigest() if data else None,
        cost=_micro(headers.get("x-heliograph-cost-usd")),
        verdict=headers.get("x-heliograph-verified"),
        warnings=tuple(pictures[0].get("warnings") or ()),
        replayed=headers.get("idempotency-replayed") == "true",
        wrong=tuple(wrong),
    )


def _from_gemini(answer: Answer, document: Mapping[str, Any]) -> Read:
    headers = answer.headers
    candidates = document.get("candidates") or []
    parts = ((candidates[0].get("content") or {}).get("parts") or []) if candidates else []
    drawn = [p for p in parts if "inlineData" in p and not p.get("thought")]
    job = headers.get("x-heliograph-job")
    both = Read(
        code=KEPT,
        job=job,
        record=job,  # a job's first picture has its name
        cost=_micro(headers.get("x-heliograph-cost-usd")),
        replayed=headers.get("idempotency-replayed") == "true",
    )
    if not drawn:
        blocked = document.get("promptFeedback") or {}
        reason = candidates[0].get("finishReason") if candidates else None
        is_policy = bool(blocked.get("blockReason")) or reason in POLICY
        charged = headers.get("x-heliograph-charged")
        wrong = () if charged and job else ("a refusal does not say its job, or what was charged",)
        code = "policy_blocked" if is_policy else "no_image"
        return replace(both, code=code, charged=charged, wrong=wrong)
    data = _decoded(drawn[-1]["inlineData"].get("data"))
    return replace(
        both,
        sha256=hashlib.sha256(data).hexdigest() if data else None,
        verdict=headers.get("x-heliograph-verified"),
        wrong=(*_spent_wrongs(answer), *(() if data else ("the picture is no base64",))),
    )


def _decoded(text: object) -> bytes:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except binascii.Error:
        return b""


def _micro(text: str | None) -> int | None:
    try:
        return None if text is None else parse_dollars(text)
    except ValueError:
        return None
