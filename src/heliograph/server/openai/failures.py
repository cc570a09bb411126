"""Errors in OpenAI's envelope, with what their SDKs obey in the headers.

    {"error": {"message", "type", "param", "code", "heliograph": {…}}}

Invariant: `code` is the machine-readable word of `faults.verdict` on every error; what is not
OpenAI's stands under `heliograph`.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from starlette.responses import Response

from heliograph.errors import (
    ConfigurationError,
    FinishError,
    HeliographError,
    InvalidRequest,
    StorageError,
)
from heliograph.server.faults import Fault, Verdict, verdict
from heliograph.server.ready import ready

_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_OWN = (
    "strict",
    "tier",
    "ground",
    "thinking",
    "seed",
    "tags",
    "max_cost",
    "fallback",
    "casts",
    "system",
)
# what our own fields are called in OpenAI's requests
_PARAMS: Mapping[str, str] = {
    "pixels": "size",
    "aspect": "aspect_ratio",
    "format": "output_format",
    "quality": "output_compression",
    "references": "image",
    "base": "image",
    "safety": "safety_settings",
    **{name: f"heliograph.{name}" for name in _OWN},
}
_encode = json.JSONEncoder(ensure_ascii=False).encode
_SHOWN = ("job", "verdict", "pixels", "expected", "finish_reason", "simulated", "quota", "replayed")


class ModelNotFound(Fault):
    """No model has this id."""

    status: ClassVar[int] = 404
    code = "model_not_found"


class UrlInputsDisabled(Fault):
    """A picture was given as an address, and addresses are not fetched."""

    code = "url_inputs_disabled"


def url_refused(param: str) -> UrlInputsDisabled:
    """The refusal of a picture that is given as an address."""
    return UrlInputsDisabled(
        "Pictures are not fetched from addresses.",
        why="This gateway opens no connection to hosts that a request names.",
        remedy="Send the picture itself: as a data: URL with base64, or as a file of a form.",
        facts={"field": param},
    )


def renamed(error: InvalidRequest) -> InvalidRequest:
    """What planning refuses, in the words of an OpenAI client's parameters."""
    problems = [replace(p, field=_PARAMS.get(p.field, p.field)) for p in error.problems]
    again = type(error)(problems, remedy=error.remedy)
    again.facts = {**error.facts, **again.facts}
    return again


def error_response(error: HeliographError, request_id: str) -> Response:
    """The answer to a request that failed, in the envelope of OpenAI's API."""
    return ready(error, request_id, _written)


def _written(error: HeliographError, request_id: str) -> Response:
    found = verdict(error)
    return Response(
        _encode({"error": _document(error, request_id, found)}).encode("utf-8", "replace"),
        status_code=found.status,
        media_type="application/json",
        headers={**found.headers, **_headers(error), "x-request-id": request_id},
    )


def document(error: HeliographError, request_id: str) -> dict[str, Any]:
    """What stands under `error`; in event streams, too."""
    return _document(error, request_id, verdict(error))


def _document(error: HeliographError, request_id: str, found: Verdict) -> dict[str, Any]:
    return {
        "message": _clean(_message(error, found)),
        "type": _type(found),
        "param": _param(error),
        "code": found.code,
        "heliograph": {
            "job": error.facts.get("job"),
            "request": request_id,
            "charged": error.charged.value,
            "remedy": error.remedy,
            "retryable": found.should_retry,
            "retry_after": found.retry_after,
            "record": error.record_id,
            **_facts(error),
        },
    }


def _message(error: HeliographError, found: Verdict) -> str:
    if isinstance(error, FinishError):
        return error.what  # why a decoder refuses names its parts
    if found.status >= 500 and isinstance(error, StorageError | ConfigurationError):
        if isinstance(error, Fault):
            return str(error)
        # what they say names folders, hosts and settings, which are the operator's
        return "The gateway cannot work now, for a reason of its own; its operator can see it."
    return str(error)


def _type(found: Verdict) -> str:
    if found.code == "insufficient_quota":
        return "insufficient_quota"
    if found.status >= 500:
        return "server_error"
    return _TYPES.get(found.status, "invalid_request_error")


def _param(error: HeliographError) -> str | None:
    """The parameter at fault, as an OpenAI client spells it."""
    problems = error.facts.get("problems")
    first = problems[0] if isinstance(problems, list) and problems else error.facts
    name = first.get("field") if isinstance(first, Mapping) else None
    return name if isinstance(name, str) else None


def _facts(error: HeliographError) -> dict[str, Any]:
    shown = {name: error.facts[name] for name in _SHOWN if error.facts.get(name) is not None}
    shown.pop("job", None)
    problems = error.facts.get("problems")
    if isinstance(problems, list):
        shown["problems"] = problems
    return shown


def _headers(error: HeliographError) -> dict[str, str]:
    job = error.facts.get("job")
    found = {"x-heliograph-job": job} if isinstance(job, str) else {}
    if error.facts.get("replayed"):
        found["idempotency-replayed"] = "true"
    return found


def _clean(text: str) -> str:
    return text.encode("utf-8", "replace").decode()
