"""Errors as Google's API words them: `{"error": {code, message, status, details}}`.

google-genai with `retry_options` repeats 408, 429, 500, 502, 503 and 504 without a word of it, and
its repetition carries nothing by which it could be known (gemini-api.md section 6). So what may
have been charged (an unknown outcome, a corrupt image, a size that is not as asked) is told with
409 ABORTED here, whatever its status is on other faces; its code in `details` stays its own.

Invariant: every refusal of this face has this form, so that SDKs make their own exception of it;
`details` names our own code, what was charged, and when to come back. No status that an SDK
repeats by itself stands for something that may have been charged.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from starlette.responses import Response

from heliograph.errors import Charged, ConfigurationError, HeliographError, StorageError
from heliograph.server.faults import Fault, ModelNotFound, verdict

TYPE = "type.googleapis.com/google.rpc."
DOMAIN = "heliograph"
_OURS = (StorageError, ConfigurationError)
JSON = "application/json; charset=UTF-8"
STATUSES: Mapping[int, str] = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "UNIMPLEMENTED",
    409: "ABORTED",
    410: "NOT_FOUND",
    413: "INVALID_ARGUMENT",
    415: "INVALID_ARGUMENT",
    416: "OUT_OF_RANGE",
    422: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
REPEATED = frozenset({408, 429, 500, 502, 503, 504})  # by google-genai with `retry_options`
NOT_REPEATED = 409


class BadBody(Fault):
    """The body is not a message of the API; worded as Google words it."""

    code = "invalid_argument"


class Unimplemented(Fault):
    """Google has it, and this gateway does not."""

    status = 501
    code = "not_implemented"


def bad(message: str, *, field: str | None = None) -> BadBody:
    """A 400 with exactly this text.

    Args:
        field: path of the field in snake case, as Google names it.
    """
    violations = [{"field": field, "description": message}] if field else []
    return BadBody(message, facts={"violations": violations})


def no_model(model: str, version: str, method: str, hint: str | None = None) -> ModelNotFound:
    """The 404 that Google gives for a name that is no model.

    Args:
        hint: what we know besides.
    """
    return ModelNotFound(
        f"models/{model} is not found for API version {version}, or is not supported for "
        f"{method}. Call ListModels to see the list of available models and their supported "
        "methods.",
        remedy=hint,
    )


def error_document(error: HeliographError, request_id: str) -> dict[str, Any]:
    """An error as JSON."""
    found = verdict(error)
    status = status_of(error)
    body: dict[str, Any] = {
        "code": status,
        # why a disk, a decoder or a setting refuses names places and parts of ours
        "message": error.what if isinstance(error, _OURS) else str(error),
        "status": STATUSES.get(status, "UNKNOWN"),
    }
    details: list[Mapping[str, Any]] = [
        {
            "@type": f"{TYPE}ErrorInfo",
            "reason": found.code,
            "domain": DOMAIN,
            "metadata": _metadata(error, request_id),
        }
    ]
    violations = _violations(error)
    if violations:
        details.append({"@type": f"{TYPE}BadRequest", "fieldViolations": violations})
    may_return = error.charged is Charged.NO and found.retry_after is not None
    if may_return and math.isfinite(found.retry_after or 0):
        seconds = max(1, math.ceil(found.retry_after or 0))
        details.append({"@type": f"{TYPE}RetryInfo", "retryDelay": f"{seconds}s"})
    return {"error": {**body, "details": details}}


def error_response(error: HeliographError, request_id: str, *, as_list: bool = False) -> Response:
    """An error as an answer of this face.

    Args:
        as_list: as Google does in streams that are no event streams.
    """
    body: Any = error_document(error, request_id)
    headers = {**headers_of(error), "cache-control": "no-store"}
    if request_id:
        headers["x-request-id"] = request_id
    status = body["error"]["code"]
    data = dump([body] if as_list else body)
    return Response(data, status_code=status, media_type=JSON, headers=headers)


def status_of(error: HeliographError) -> int:
    """The HTTP status of an error on this face."""
    status = verdict(error).status
    is_free = error.charged is Charged.NO
    return status if is_free or status not in REPEATED else NOT_REPEATED


def headers_of(error: HeliographError) -> dict[str, str]:
    """The headers that SDKs obey; nobody is told to come back for what may have been charged."""
    found = dict(verdict(error).headers)
    if error.charged is not Charged.NO:
        found.pop("retry-after", None)
    return found


def dump(value: object) -> bytes:
    """JSON of any text: half a surrogate pair in a prompt must not break an error."""
    text = json.dumps(value, ensure_ascii=False, indent=2) + "\n"
    return text.encode("utf-8", "replace")


def _metadata(error: HeliographError, request_id: str) -> dict[str, str]:
    """What a program may want to know, as text: the type of the field allows nothing else."""
    found = {
        "charged": error.charged.value,
        "requestId": request_id,
        "job": error.facts.get("job"),
        "record": error.record_id,
        "finishReason": error.facts.get("finish_reason"),
        "blockReason": error.facts.get("block_reason"),
    }
    return {name: value for name, value in found.items() if isinstance(value, str) and value}


def _violations(error: HeliographError) -> Sequence[Mapping[str, str]]:
    problems = error.facts.get("problems", ())
    ours = [{"field": p["field"], "description": p["message"]} for p in problems]
    return ours or list(error.facts.get("violations", ()))
