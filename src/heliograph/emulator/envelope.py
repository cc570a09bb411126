"""Google's error envelope; invariant: every refusal leaves as `{"error":{code,message,status}}`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TYPE = "type.googleapis.com/google.rpc."
SERVICE = "generativelanguage.googleapis.com"

Detail = Mapping[str, Any]


@dataclass(kw_only=True)
class ApiError(Exception):
    """An answer that is an error: raised anywhere, written once at the edge."""

    code: int
    status: str
    message: str
    details: tuple[Detail, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    """Why the emulator refused, for a person; goes to the `x-emu-note` header."""

    def __str__(self) -> str:
        return f"{self.code} {self.status}: {self.message}"

    def body(self) -> dict[str, Any]:
        """The JSON of the envelope."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.details:
            error["details"] = [dict(detail) for detail in self.details]
        return {"error": error}


def invalid(
    message: str = "Request contains an invalid argument.", *, note: str = "", field_: str = ""
) -> ApiError:
    """A 400 INVALID_ARGUMENT, with a BadRequest detail when the field is known."""
    details = (bad_request([{"field": field_, "description": message}]),) if field_ else ()
    return ApiError(
        code=400, status="INVALID_ARGUMENT", message=message, details=details, note=note
    )


def misused(reason: str) -> ApiError:
    """A 400 about the emulator's own control language: no Google text to keep, so it says why."""
    return invalid(reason, note=reason)


def not_found(message: str = "Requested entity was not found.") -> ApiError:
    """A 404 NOT_FOUND."""
    return ApiError(code=404, status="NOT_FOUND", message=message)


def denied(message: str, *details: Detail) -> ApiError:
    """A 403 PERMISSION_DENIED."""
    return ApiError(code=403, status="PERMISSION_DENIED", message=message, details=details)


def unimplemented(what: str) -> ApiError:
    """A 501 for something Google has and this emulator does not."""
    return ApiError(
        code=501,
        status="UNIMPLEMENTED",
        message="Operation is not implemented, or supported, or enabled.",
        note=f"{what} is not emulated; see src/heliograph/emulator/COVERAGE.md",
    )


def bad_request(violations: list[dict[str, str]]) -> Detail:
    """The detail that names the offending fields."""
    return {"@type": f"{TYPE}BadRequest", "fieldViolations": violations}


def error_info(reason: str, **metadata: str) -> Detail:
    """The detail that carries a machine-readable reason."""
    return {
        "@type": f"{TYPE}ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {**metadata, "service": SERVICE},
    }


def localized(message: str) -> Detail:
    """The detail that repeats the message for a person."""
    return {"@type": f"{TYPE}LocalizedMessage", "locale": "en-US", "message": message}


def quota_help() -> Detail:
    """The link that quota errors carry."""
    return {
        "@type": f"{TYPE}Help",
        "links": [
            {
                "description": "Learn more about Gemini API quotas",
                "url": "https://ai.google.dev/gemini-api/docs/rate-limits",
            }
        ],
    }


def quota_failure(metric: str, quota_id: str, model: str, value: int = 0) -> Detail:
    """The detail that names the quota; a limit of 0 carries no quotaValue."""
    violation: dict[str, Any] = {
        "quotaMetric": f"{SERVICE}/{metric}",
        "quotaId": quota_id,
        "quotaDimensions": {"location": "global", "model": model},
    }
    if value:
        violation["quotaValue"] = str(value)
    return {"@type": f"{TYPE}QuotaFailure", "violations": [violation]}


def retry_info(delay: str) -> Detail:
    """The detail that says when to come back."""
    return {"@type": f"{TYPE}RetryInfo", "retryDelay": delay}


def dump(value: Any) -> bytes:
    """JSON as Google prints it."""
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    # A refused request may be quoted with half a surrogate pair in it.
    return text.encode(errors="replace")
