"""The error codes of the Interactions API as our errors.

Codes are those of Google's page "API errors" of 2026. Invariant: an error is judged by its code
and its HTTP status, never by the words of its message.
"""

from collections.abc import Mapping
from typing import Any

from heliograph.errors import (
    Charged,
    HeliographError,
    NoImage,
    PolicyBlocked,
    Refused,
    UpstreamError,
)
from heliograph.providers.classify import classify
from heliograph.providers.gemini import NO_IMAGE_REASONS, POLICY_REASONS
from heliograph.providers.wire import WireReply, documents

# code of an error → HTTP status and Google's word that `classify` goes by
CODES: Mapping[str, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "parameter_unknown": (400, "INVALID_ARGUMENT"),
    "failed_precondition": (400, "FAILED_PRECONDITION"),
    "out_of_range": (400, "OUT_OF_RANGE"),
    "unimplemented": (400, "UNIMPLEMENTED"),  # sent with 501: this request cannot be served
    "authentication": (401, "UNAUTHENTICATED"),
    "permission_denied": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "model_not_found": (404, "NOT_FOUND"),
    "already_exists": (409, "ALREADY_EXISTS"),
    "payment_required": (429, "RESOURCE_EXHAUSTED"),  # sent with 402: prepaid credit is used up
    "rate_limit_exceeded": (429, "RESOURCE_EXHAUSTED"),
    "quota_exceeded": (429, "RESOURCE_EXHAUSTED"),
    "too_many_requests": (429, "RESOURCE_EXHAUSTED"),
    "cancelled": (499, "CANCELLED"),
    "api_error": (500, "INTERNAL"),
    "aborted": (503, "ABORTED"),  # sent with 409: "retry at a higher application level"
    "service_unavailable": (503, "UNAVAILABLE"),
    "deadline_exceeded": (504, "DEADLINE_EXCEEDED"),
}
# what the code alone says, in the typed details that `classify` reads
_DETAILS: Mapping[str, Mapping[str, Any]] = {
    "payment_required": {"@type": "google.rpc.ErrorInfo", "reason": "CREDITS_DEPLETED"},
    "quota_exceeded": {
        "@type": "google.rpc.QuotaFailure",
        "violations": [{"quotaId": "PerDay"}],
    },
    "rate_limit_exceeded": {
        "@type": "google.rpc.QuotaFailure",
        "violations": [{"quotaId": "PerMinute"}],
    },
}
# google.rpc.Code of a step's own error → code
RPC = {
    1: "cancelled",
    3: "invalid_request",
    4: "deadline_exceeded",
    5: "not_found",
    7: "permission_denied",
    8: "too_many_requests",
    9: "failed_precondition",
    10: "aborted",
    12: "unimplemented",
    13: "api_error",
    14: "service_unavailable",
    16: "authentication",
}
# "policy, safety, or content restrictions blocked the model's output"
BLOCKED = frozenset({reason.lower() for reason in POLICY_REASONS} - {"other"}) | {
    "content_blocked",
    "image_other",
}
# the model's output itself was of no use
FRUITLESS = frozenset(
    {
        "no_image",
        "malformed_function_call",
        "malformed_tool_call",
        "unexpected_tool_call",
        "too_many_tool_calls",
        "missing_thought_signature",
    }
)


def failure_of(wire: WireReply) -> HeliographError:
    """The error behind an answer that is not a success."""
    try:
        value = documents(wire.tapped)[0]
    except HeliographError:
        value = {}
    return error_of(wire.status, value, wire.headers)


def error_of(status: int, body: Mapping[str, Any], headers: Mapping[str, str]) -> HeliographError:
    """The error of an error body, in the envelope of interactions or in Google's usual one.

    Args:
        status: HTTP status that came with it.
        body: the object that has the key `error`.

    Returns:
        Besides what `classify` makes: a `Refused` when the content was blocked. Its facts name
        the `code`. A request that is answered by an error is not charged.
    """
    error = body.get("error")
    if not isinstance(error, Mapping):
        return classify(status, None, headers)
    code = code_of(error.get("code"))
    if code is None:
        return classify(status, error, headers)
    if code in BLOCKED | FRUITLESS:
        return refusal(code, _message(error), None, Charged.NO)
    found = _classified(code, status, error, headers)
    found.facts |= {"http_status": status, "code": code}
    return found


def _classified(
    code: str, status: int, error: Mapping[str, Any], headers: Mapping[str, str]
) -> HeliographError:
    known, word = CODES.get(code, (status, None))
    details = error.get("details")
    told = [d for d in details if isinstance(d, Mapping)] if isinstance(details, list) else []
    if code in _DETAILS:
        told.append(_DETAILS[code])
    return classify(known, {**error, "status": word or code.upper(), "details": told}, headers)


def code_of(value: object) -> str | None:
    """A code in lower case; the SDK calls it a URI, so only its last part counts."""
    if not isinstance(value, str) or not value.strip():
        return None
    return value.strip().rpartition("/")[2].rpartition("#")[2].lower()


def refusal(code: str, message: str | None, words: str | None, charged: Charged) -> Refused:
    """Why there is no picture, in words; what is blocked is never charged (gemini-api.md 2.4)."""
    reason = code.upper()
    facts = {"finish_reason": reason, "block_reason": None, "model_says": words or None}
    if code in BLOCKED and code != "image_other":
        return PolicyBlocked(
            POLICY_REASONS.get(reason, "Google blocked it and gives no reason."),
            why=message,
            remedy="Change the prompt; sending it again will not help.",
            facts=facts,
        )
    return NoImage(
        NO_IMAGE_REASONS.get(reason, f"The model stopped without an image ({code})."),
        why=message or (f"It said: {words[:300]}" if words else None),
        remedy="Ask plainly for a picture, or try again: the same prompt often works.",
        charged=charged,
        facts=facts,
    )


def failed(
    status: str, fault: tuple[str | None, str | None], headers: Mapping[str, str], *, used: bool
) -> HeliographError:
    """The error of an interaction that failed or was cancelled.

    It is free if the API says so: with an error code that Google pairs with an HTTP error, which
    its billing page calls free, and no tokens in the usage; anything else may be charged.
    """
    code, message = fault
    if status == "failed" and code is not None and code in CODES:
        found = _classified(code, CODES[code][0], {"message": message}, headers)
    else:
        found = UpstreamError(
            "The interaction was cancelled."
            if status == "cancelled"
            else "The interaction failed upstream.",
            why=message,
            remedy="Check the provider's billing before asking again.",
        )
    found.facts["code"] = code
    if used or code not in CODES or status == "cancelled":
        found.charged = Charged.UNKNOWN
        found.remedy = "It may have been charged. Check the provider's billing first."
    return found


def says_unknown(error: HeliographError) -> bool:
    """Whether the API itself says that it has no such interaction.

    A proxy has a 404 of its own, and one at work was seen to answer 403.
    """
    return error.facts.get("http_status") == 404 and error.facts.get("code") == "not_found"


def _message(error: Mapping[str, Any]) -> str | None:
    found = error.get("message")
    return found if isinstance(found, str) and found else None
