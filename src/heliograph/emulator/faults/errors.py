"""Error envelopes by name; invariant: one function per row of the catalogue, texts verbatim.

Source: shared facts section 5.2. None of these is ever billed.
"""

import math
from collections.abc import Mapping
from typing import Any

from heliograph.emulator.envelope import (
    ApiError,
    denied,
    error_info,
    invalid,
    localized,
    not_found,
    quota_failure,
    quota_help,
    retry_info,
)
from heliograph.emulator.faults.contract import Canned, Case, Delivery, Fault, table

_PLAN = (
    "You exceeded your current quota, please check your plan and billing details. For more "
    "information on this error, head to: https://ai.google.dev/gemini-api/docs/rate-limits."
)


def api_key_invalid() -> ApiError:
    """An unknown key: 400, not 403."""
    message = "API key not valid. Please pass a valid API key."
    return ApiError(
        code=400,
        status="INVALID_ARGUMENT",
        message=message,
        details=(error_info("API_KEY_INVALID"), localized(message)),
    )


def key_expired() -> ApiError:
    """A key past its date."""
    message = "API key expired. Please renew the API key."
    return ApiError(
        code=400,
        status="INVALID_ARGUMENT",
        message=message,
        details=(error_info("API_KEY_INVALID"), localized(message)),
    )


def location() -> ApiError:
    """A caller in an unsupported region."""
    return ApiError(
        code=400,
        status="FAILED_PRECONDITION",
        message="User location is not supported for the API use.",
    )


def no_key() -> ApiError:
    """A call without any key."""
    return denied(
        "Method doesn't allow unregistered callers (callers without established identity). Please "
        "use API Key or other form of API consumer identity to call this API."
    )


def leaked() -> ApiError:
    """A key that was found in public."""
    return denied("Your API key was reported as leaked. Please use another API key.")


def service_blocked() -> ApiError:
    """A key restricted to other services."""
    return denied(
        "Requests to this API generativelanguage.googleapis.com method "
        "google.ai.generativelanguage.v1beta.GenerativeService.GenerateContent are blocked.",
        error_info("API_KEY_SERVICE_BLOCKED", consumer="projects/000000000000"),
    )


def service_disabled() -> ApiError:
    """A project in which the API is off."""
    return denied(
        "Generative Language API has not been used in project 000000000000 before or it is "
        "disabled.",
        error_info("SERVICE_DISABLED", consumer="projects/000000000000"),
    )


def depleted() -> ApiError:
    """A prepaid project without credits: no details array, never worth a retry."""
    return _exhausted(
        "Your prepayment credits are depleted. Please go to AI Studio at "
        "https://ai.studio/projects to manage your project and billing."
    )


def limit_zero(model: str) -> ApiError:
    """A free-tier key: the quota for image models is 0."""
    metric = "generate_content_free_tier_requests"
    return _exhausted(
        f"{_PLAN}\n* Quota exceeded for metric: generativelanguage.googleapis.com/{metric}, "
        "limit: 0\nPlease retry in 37.36s.",
        quota_help(),
        quota_failure(metric, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", model),
        retry_info("37s"),
    )


def _exhausted(message: str, *details: Mapping[str, Any]) -> ApiError:
    return ApiError(code=429, status="RESOURCE_EXHAUSTED", message=message, details=details)


def rate_minute(model: str, seconds: float, limit: int) -> ApiError:
    """A spent minute of a project and model; come back after that many seconds."""
    metric = "generate_requests_per_model"
    # Rounded up: whoever waits exactly as told must find the minute over.
    delay = f"{math.ceil(seconds * 1000) / 1000:.3f}".rstrip("0").rstrip(".")
    return _exhausted(
        f"{_PLAN}\n* Quota exceeded for metric: generativelanguage.googleapis.com/{metric}, "
        f"limit: {limit}, model: {model}\nPlease retry in {delay}s.",
        quota_help(),
        quota_failure(metric, "GenerateRequestsPerMinutePerProjectPerModel", model, limit),
        retry_info(f"{delay}s"),
    )


def rate_day(model: str, limit: int) -> ApiError:
    """A spent day, which nevertheless says 37 s."""
    metric = "generate_requests_per_model_per_day"
    return _exhausted(
        f"{_PLAN}\n* Quota exceeded for metric: generativelanguage.googleapis.com/{metric}, "
        f"limit: {limit}, model: {model}\nPlease retry in 37s.",
        quota_help(),
        quota_failure(metric, "GenerateRequestsPerDayPerProjectPerModel", model, limit),
        retry_info("37s"),
    )


def spend_limit() -> ApiError:
    """A project that spent too much in ten minutes."""
    return _exhausted(
        "You exceeded your spend limit. Please retry later or raise the limit of your tier.",
        error_info("spend_limit_exceeded"),
    )


def _capacity(case: Case) -> ApiError:
    return _exhausted(
        f"No capacity available for model {case.model} on the server",
        error_info("MODEL_CAPACITY_EXHAUSTED", model=case.model),
    )


def _missing_model(case: Case) -> ApiError:
    return model_not_found(case.model, "v1beta", "generateContent")


def model_not_found(model: str, version: str, method: str) -> ApiError:
    """What a retired or unknown model id gets."""
    return not_found(
        f"models/{model} is not found for API version {version}, or is not supported for {method}. "
        "Call ListModels to see the list of available models and their supported methods."
    )


def _server(code: int, status: str, message: str) -> ApiError:
    return ApiError(code=code, status=status, message=message)


def _unavailable(case: Case, message: str) -> ApiError:
    headers = {"retry-after": f"{case.whole(0)}"} if case.arg else {}
    return ApiError(code=503, status="UNAVAILABLE", message=message, headers=headers)


def _status(case: Case) -> ApiError:
    code = case.options.get("code", case.arg or 500)
    if not str(code).isdecimal() or not 400 <= int(code) <= 599:
        raise case.bad_argument("an error status from 400 to 599")
    return ApiError(
        code=int(code),
        status=str(case.options.get("status", case.options.get("reason", "UNKNOWN"))),
        message=str(case.options.get("message", "An error chosen by a rule.")),
        details=tuple(case.options.get("details", ())),
        headers=dict(case.options.get("headers", {})),
    )


_BAD_GATEWAY = Canned(
    status=502,
    headers={"content-type": "text/html; charset=UTF-8"},
    body=(
        b"<!DOCTYPE html>\n<html lang=en>\n<title>Error 502 (Server Error)!!1</title>\n"
        b"<p><b>502.</b> <ins>That\xe2\x80\x99s an error.</ins>\n<p>The server encountered a "
        b"temporary error and could not complete your request.\n</html>\n"
    ),
)

FAULTS = table(
    Fault(
        name="api-key-invalid",
        explain="400 API_KEY_INVALID with ErrorInfo",
        error=lambda _: api_key_invalid(),
    ),
    Fault(name="key-expired", explain="400 API key expired", error=lambda _: key_expired()),
    Fault(name="location", explain="400 FAILED_PRECONDITION, region", error=lambda _: location()),
    Fault(name="bad-argument", explain="400 generic invalid argument", error=lambda _: invalid()),
    Fault(
        name="bad-image",
        explain="400 provided image is not valid",
        error=lambda _: invalid("Provided image is not valid."),
    ),
    Fault(
        name="unauthenticated",
        explain="401 bad OAuth token",
        error=lambda _: _server(
            401,
            "UNAUTHENTICATED",
            "Request had invalid authentication credentials. Expected OAuth 2 access token, login "
            "cookie or other valid authentication credential. See "
            "https://developers.google.com/identity/sign-in/web/devconsole-project.",
        ),
    ),
    Fault(name="no-key", explain="403 unregistered caller", error=lambda _: no_key()),
    Fault(name="leaked", explain="403 key reported as leaked", error=lambda _: leaked()),
    Fault(
        name="service-blocked",
        explain="403 API_KEY_SERVICE_BLOCKED",
        error=lambda _: service_blocked(),
    ),
    Fault(
        name="service-disabled", explain="403 SERVICE_DISABLED", error=lambda _: service_disabled()
    ),
    Fault(name="not-found", explain="404 as for a retired model id", error=_missing_model),
    Fault(
        name="rate-minute",
        explain="429 per-minute quota with RetryInfo; ARG seconds (7)",
        error=lambda case: rate_minute(case.model, case.number(7), 10),
    ),
    Fault(
        name="rate-plain",
        explain="429 quota text without details",
        error=lambda _: _exhausted(_PLAN),
    ),
    Fault(
        name="rate-day",
        explain="429 per-day quota, with RetryInfo 37s all the same",
        error=lambda case: rate_day(case.model, 250),
    ),
    Fault(
        name="limit-zero",
        explain="429 free tier, limit: 0",
        error=lambda case: limit_zero(case.model),
    ),
    Fault(name="depleted", explain="429 prepayment credits depleted", error=lambda _: depleted()),
    Fault(
        name="spend-limit",
        explain="429 spend limit over ten minutes",
        error=lambda _: spend_limit(),
    ),
    Fault(
        name="exhausted",
        explain="429 shared capacity, no details",
        error=lambda _: _exhausted("Resource exhausted. Please try again later."),
    ),
    Fault(name="capacity", explain="429 MODEL_CAPACITY_EXHAUSTED", error=_capacity),
    Fault(
        name="cancelled",
        explain="499 CANCELLED",
        error=lambda _: _server(499, "CANCELLED", "The operation was cancelled."),
    ),
    Fault(
        name="internal",
        explain="500 INTERNAL",
        error=lambda _: _server(
            500,
            "INTERNAL",
            "An internal error has occurred. Please retry or report in "
            "https://developers.generativeai.google/guide/troubleshooting",
        ),
    ),
    Fault(
        name="overloaded",
        explain="503, text of 2025; ARG retry-after seconds",
        error=lambda case: _unavailable(case, "The model is overloaded. Please try again later."),
    ),
    Fault(
        name="high-demand",
        explain="503, text of 2026; ARG retry-after seconds",
        error=lambda case: _unavailable(
            case,
            "This model is currently experiencing high demand. Spikes in demand are usually "
            "temporary. Please try again later.",
        ),
    ),
    Fault(name="deadline", explain="504 DEADLINE_EXCEEDED", error=lambda _: deadline_exceeded()),
    Fault(
        name="status",
        explain="any error status; ARG code, or rule args {code,status,message,details,headers}",
        error=_status,
    ),
    Fault(
        name="bad-gateway",
        explain="502 with an HTML body",
        delivery=lambda _: Delivery(canned=_BAD_GATEWAY),
    ),
)


def deadline_exceeded() -> ApiError:
    """What a caller gets whose deadline is shorter than the model's time."""
    return _server(504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
