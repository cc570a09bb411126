"""Errors of interactions: a word and a sentence, and nothing else that an SDK would read.

google-genai repeats 408, 409, 429 and every 5xx here, four times, whether or not it was asked to.
So what may have been charged is told with 424: the picture depended on the upstream, and that
failed. Codes are those of Google's page "API errors" (`providers/interaction_errors.py` has them)
where it has one; ours stands in `x-heliograph-error`. Invariant: no status that the SDK repeats
stands for something that may have been charged, or for something that can never succeed.
"""

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from heliograph.errors import Charged, HeliographError
from heliograph.server.faults import Fault, verdict
from heliograph.server.gemini.envelope import JSON, dump, headers_of
from heliograph.server.refusals import TooLate

NOT_REPEATED = 424
PREFIX = "v1_"
_WORDS: Mapping[str, str] = {
    "content_policy": "content_blocked",
    "rate_limited": "rate_limit_exceeded",
    "insufficient_quota": "quota_exceeded",
    "upstream_quota": "quota_exceeded",
    "model_not_found": "model_not_found",
    "not_implemented": "unimplemented",
}
_BY_STATUS: Mapping[int, str] = {
    400: "invalid_request",
    401: "authentication",
    403: "permission_denied",
    404: "not_found",
    409: "aborted",
    410: "not_found",
    413: "invalid_request",
    415: "invalid_request",
    422: "failed_precondition",
    429: "too_many_requests",
    503: "service_unavailable",
    504: "deadline_exceeded",
}


class NotServed(Fault):
    """The API has it, and this gateway does not; said by name."""

    code = "parameter_unknown"


def not_served(field: str, why: str) -> NotServed:
    """The error for a field that cannot be kept to.

    Args:
        why: a sentence that says what to do instead.
    """
    return NotServed(f"'{field}' is not served by this gateway. {why}")


def word_of(error: HeliographError) -> str:
    """The code of an error as this API has it."""
    found = verdict(error)
    if isinstance(error, TooLate):
        return "failed_precondition"
    if error.charged is not Charged.NO:
        return _WORDS.get(found.code, found.code)
    if isinstance(error, NotServed):
        return error.code
    return _WORDS.get(found.code) or _BY_STATUS.get(found.status, "api_error")


def status_of(error: HeliographError) -> int:
    """The HTTP status of an error of this API."""
    status = verdict(error).status
    if isinstance(error, TooLate):
        return 400  # as Google refuses to cancel what has ended
    is_repeated = status in (408, 409, 429) or status >= 500
    return NOT_REPEATED if is_repeated and error.charged is not Charged.NO else status


def sentence(error: HeliographError) -> dict[str, str]:
    """An error as it stands in an envelope, or in the `errors` of an interaction."""
    words = str(error)
    job = error.facts.get("job")
    if error.charged is not Charged.NO and isinstance(job, str):
        # what comes late is kept, and the SDK shows nothing of an error but this text
        words += f" Look at interaction {PREFIX}{job} before you ask again."
    return {"code": word_of(error), "message": words}


def error_response(error: HeliographError, request_id: str) -> Response:
    """An error as an answer."""
    found: dict[str, Any] = {"error": sentence(error)}
    headers = {
        **headers_of(error),
        "cache-control": "no-store",
        "x-heliograph-error": verdict(error).code,
        "x-heliograph-charged": error.charged.value,
    }
    job = error.facts.get("job")
    if isinstance(job, str):
        headers["x-heliograph-job"] = job
    if request_id:
        headers["x-request-id"] = request_id
    status = status_of(error)
    return Response(dump(found), status_code=status, media_type=JSON, headers=headers)
