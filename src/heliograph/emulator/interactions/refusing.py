"""The error envelope of interactions; invariant: `{"error":{"message","code"}}`, code a word.

SDK 3.4.0 reads exactly these two fields, both texts, from 4xx and 5xx alike, so details have no
place in it and the delay of a RetryInfo becomes a `retry-after` header (seen with 429). What is
wrong with a key is found before the interaction service sees the call, and comes as a list of one
ordinary envelope (seen 2026-08-28).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.emulator.envelope import TYPE, ApiError, Detail
from heliograph.emulator.faults import errors
from heliograph.emulator.scene import Scene
from heliograph.emulator.sending import Outgoing, outgoing_error

# The first six are seen; the others follow their pattern.
_CODES: Mapping[str, str] = {
    "INVALID_ARGUMENT": "invalid_request",
    "NOT_FOUND": "not_found",
    "PERMISSION_DENIED": "permission_denied",
    "RESOURCE_EXHAUSTED": "too_many_requests",
    "INTERNAL": "api_error",
    "UNAVAILABLE": "service_unavailable",
}
_KEY_REASONS = {"API_KEY_INVALID", "API_KEY_SERVICE_BLOCKED", "SERVICE_DISABLED"}
_KEY_MESSAGES = {errors.no_key().message, errors.leaked().message}

# All four are seen: the first three for pictures, the last also in `errors` of a failed one.
_SAFETY = "Image generation blocked due to safety violations."
_RECITATION = "Image generation blocked due to copyright/recitation."
_PROHIBITED = "Request blocked due to prohibited content guidelines."
_UNSPECIFIED = "Request blocked for an unspecified policy reason."
_BLOCKED: Mapping[str, str] = {
    "IMAGE_SAFETY": _SAFETY,
    "IMAGE_RECITATION": _RECITATION,
    "IMAGE_PROHIBITED_CONTENT": _PROHIBITED,
    "SAFETY": _PROHIBITED,
    "PROHIBITED_CONTENT": _PROHIBITED,
}


@dataclass(kw_only=True)
class InteractionError(ApiError):
    """An error in the envelope of interactions."""

    word: str = ""
    """The code, when it does not follow from the status."""

    @property
    def spoken(self) -> str:
        """The code as it is sent."""
        return self.word or _CODES.get(self.status, self.status.lower())

    def body(self) -> dict[str, Any]:
        """The JSON of the envelope."""
        return {"error": {"message": self.message, "code": self.spoken}}


def refusal(error: ApiError) -> Outgoing:
    """Any error of the emulator as an answer of this API."""
    if _is_about_the_key(error):
        return outgoing_error(error, as_list=True)
    return outgoing_error(translated(error))


def translated(error: ApiError) -> InteractionError:
    """The same error in the other envelope."""
    if isinstance(error, InteractionError):
        return error
    return InteractionError(
        code=error.code,
        status=error.status,
        message=error.message,
        headers={**_retry_after(error.details), **error.headers},
        note=error.note,
    )


def unsupported(value: Any, path: str, choices: tuple[str, ...]) -> InteractionError:
    """The 400 for a value outside an enum (seen)."""
    supported = ", ".join(f"'{choice}'" for choice in choices)
    return InteractionError(
        code=400,
        status="INVALID_ARGUMENT",
        message=f"The value '{value}' is not supported for '{path}'. "
        f"Supported values: {supported}.",
    )


def misshapen(path: str) -> InteractionError:
    """The 400 for a value of the wrong kind (seen for `response_format`)."""
    message = f"Invalid input at '{path}'."
    return InteractionError(code=400, status="INVALID_ARGUMENT", message=message)


def blocked(scene: Scene) -> InteractionError | None:
    """The error for a filtered answer; a model that only talks is no error."""
    filtered = not scene.charged and scene.finish_reason != "STOP"
    if not scene.block_reason and not filtered:
        return None
    text = _BLOCKED.get(scene.block_reason or scene.finish_reason, _UNSPECIFIED)
    return InteractionError(
        code=400,
        status="INVALID_ARGUMENT",
        message=f"{text} Please modify your input and retry.",
        word="content_blocked",
    )


def _is_about_the_key(error: ApiError) -> bool:
    return (
        error.status == "UNAUTHENTICATED"
        or error.message in _KEY_MESSAGES
        or any(detail.get("reason") in _KEY_REASONS for detail in error.details)
    )


def _retry_after(details: tuple[Detail, ...]) -> dict[str, str]:
    for detail in details:
        if detail.get("@type") == f"{TYPE}RetryInfo":
            seconds = float(str(detail["retryDelay"]).removesuffix("s"))
            return {"retry-after": str(int(-(-seconds // 1)))}
    return {}
