"""What an error answer means: HTTP status and Google's typed details in, one of our errors out.

Classified by structure (`@type`, reason, quota id, code), never by searching the message text.
One exception is written down as data: an exact sentence that Google sends with no details at all.
Sources: gemini-api.md 5.1 and 5.2, reliability.md section 3.
"""

import math
import re
import string
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from heliograph.errors import (
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    UpstreamError,
)

# 429 without any details; observed 2026-06-12 (gemini-api.md 1.7)
DEPLETED_OPENING = "Your prepayment credits are depleted."

CREDENTIAL_REASONS = {
    "API_KEY_INVALID": "Check the key; create one in AI Studio if it was deleted.",
    "API_KEY_EXPIRED": "Renew the key in AI Studio.",
    "API_KEY_SERVICE_BLOCKED": "Allow the Generative Language API in the key's restrictions.",
    "SERVICE_DISABLED": "Enable the Generative Language API for the key's project.",
    "API_KEY_HTTP_REFERRER_BLOCKED": "Remove the key's website restriction.",
    "API_KEY_IP_ADDRESS_BLOCKED": "Allow this machine's address in the key's restrictions.",
}
SPEND_REASONS = {"SPEND_LIMIT_EXCEEDED", "BILLING_LIMIT_EXCEEDED"}
DEPLETED_REASONS = {"CREDITS_DEPLETED"}
CAPACITY_REASONS = {"MODEL_CAPACITY_EXHAUSTED"}
CAPACITY_STATUS = {500, 502, 503, 529}

LONGEST_SAID = 600  # characters of the upstream's own words
_VISIBLE = string.ascii_letters + string.digits + string.punctuation  # a key is made of these
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s?")


def classify(
    status: int, error: Mapping[str, Any] | None, headers: Mapping[str, str]
) -> HeliographError:
    """The error behind an answer that is no success.

    Args:
        status: HTTP status of the answer, or the inner code of an error inside a 200.
        error: the value of the `error` key, when there was one.
        headers: response headers, names in lower case.

    Facts of every error: `http_status`, `status` (Google's word, None outside its envelope),
    `reasons`; of a refused quota also `quota`: day, free_tier, spend, depleted or minute.
    """
    error = error or {}
    found = _Details(error)
    wait = _longest_wait(found, headers)
    said = _said(error, status)
    facts = {"http_status": status, "status": error.get("status"), "reasons": sorted(found.reasons)}
    if status == 429:
        return _too_many(found, said, wait, facts)
    credential = next((r for r in sorted(found.reasons) if r in CREDENTIAL_REASONS), None)
    if credential or status in (401, 403):
        remedy = CREDENTIAL_REASONS.get(credential or "", "Check the key and its project.")
        return CredentialRejected(
            "The upstream does not accept the API key.", why=said, remedy=remedy, facts=facts
        )
    if status in CAPACITY_STATUS:
        return Overloaded(
            "The upstream has no capacity for this model right now.",
            why=said,
            remedy="Try again in a few minutes; nothing was charged.",
            retry_after=wait,
            facts=facts,
        )
    if status == 504:
        return DeadlineExceeded(
            "The upstream gave up before the image was done.",
            why=said,
            remedy="Try again, with a longer deadline or a smaller size.",
            retry_after=wait,
            facts=facts,
        )
    return _other(status, error, said, facts)


def _other(
    status: int, error: Mapping[str, Any], said: str, facts: Mapping[str, Any]
) -> HeliographError:
    if status == 499:
        return UpstreamError(
            "The upstream cancelled the call.",
            why=said,
            remedy="Ask again when you want the image.",
            facts=facts,
        )
    if 300 <= status < 400:
        return ProtocolError(
            "The upstream answered with a redirect, which is never followed with a key.",
            why=said,
            remedy="Check the base URL.",
            facts=facts,
        )
    if 400 <= status < 500:
        remedies = {
            404: "Check the model id with `heliograph models`.",
            413: "Send fewer or smaller reference images.",
        }
        remedy = remedies.get(status, "Change the request; sending it again will not help.")
        if error.get("status") == "FAILED_PRECONDITION":
            remedy = "The Gemini API does not serve this place; Vertex AI is the official route."
        return RequestRejected(
            "The upstream rejects the request.", why=said, remedy=remedy, facts=facts
        )
    return ProtocolError(
        f"The upstream answered with HTTP {status}, which makes no sense here.",
        why=said,
        remedy="Check the base URL and any proxy on the way.",
        facts=facts,
    )


def _too_many(
    found: "_Details", said: str, wait: float | None, facts: Mapping[str, Any]
) -> HeliographError:
    if found.reasons & CAPACITY_REASONS:
        return Overloaded(
            "The upstream has no capacity for this model right now.",
            why=said,
            remedy="Try again in a few minutes; nothing was charged.",
            retry_after=wait,
            facts=facts,
        )
    if found.is_daily or found.is_free_tier:
        free = found.is_free_tier
        facts = {**facts, "quota": "free_tier" if free else "day"}
        return QuotaExhausted(
            "This key's project has no quota for the model."
            if free
            else "The project's daily quota for the model is used up.",
            why=said,
            remedy="Image models have no free tier: link billing to the project."
            if free
            else "It resets at midnight Pacific time; or use a key of another project.",
            facts=facts,
        )
    is_depleted = found.is_depleted or (not found.any and said.startswith(DEPLETED_OPENING))
    if found.is_spend_limit or is_depleted:
        facts = {**facts, "quota": "depleted" if is_depleted else "spend"}
        return QuotaExhausted(
            "The project may not spend more at the moment.",
            why=said,
            remedy="Check credits and spend limits of the project in AI Studio.",
            facts=facts,
        )
    if found.is_per_minute:
        facts = {**facts, "quota": "minute"}
    return RateLimited(
        "The upstream says this is too fast.",
        why=said,
        remedy="Wait"
        + (f" {math.ceil(wait)} seconds" if wait is not None else " a little")
        + " and try again; nothing was charged.",
        retry_after=wait,
        facts=facts,
    )


class _Details:
    """The typed details of a Google error, gathered for questions."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        entries = _mappings(error.get("details"))
        self.any = bool(entries)
        infos = self._of(entries, "ErrorInfo")
        self.reasons = {str(d["reason"]).upper() for d in infos if "reason" in d}
        self.waits = [
            seconds
            for d in self._of(entries, "RetryInfo")
            if (seconds := _seconds(d.get("retryDelay"))) is not None
        ]
        violations = [
            v for d in self._of(entries, "QuotaFailure") for v in _mappings(d.get("violations"))
        ]
        ids = [str(v.get("quotaId", "")) for v in violations]
        self.is_daily = any("PerDay" in quota for quota in ids)
        self.is_per_minute = any("PerMinute" in quota for quota in ids)
        # a free tier that has any room states its quotaValue; `limit: 0` comes without one
        self.is_free_tier = any(
            "FreeTier" in str(v.get("quotaId", "")) and _is_zero(v.get("quotaValue"))
            for v in violations
        )
        self.is_depleted = bool(self.reasons & DEPLETED_REASONS)
        self.is_spend_limit = bool(self.reasons & SPEND_REASONS) or (
            error.get("type") == "spend_limit_exceeded"
        )

    @staticmethod
    def _of(entries: Iterable[Mapping[str, Any]], kind: str) -> list[Mapping[str, Any]]:
        return [d for d in entries if str(d.get("@type", "")).endswith(f"google.rpc.{kind}")]


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _is_zero(value: object) -> bool:
    return value is None or str(value) == "0"


def _longest_wait(found: _Details, headers: Mapping[str, str]) -> float | None:
    told = [*found.waits]
    header = _seconds(headers.get("retry-after")) or _until(headers.get("retry-after"))
    if header is not None:
        told.append(header)
    return max(told, default=None)


def _seconds(value: object) -> float | None:
    """ "37s", "37.36s" or "37" as seconds; anything else is no statement."""
    match = _DELAY.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(match[1]) if match else None


def _until(value: str | None) -> float | None:
    """Seconds until an HTTP date, as `Retry-After` may give one."""
    try:
        when = parsedate_to_datetime(value) if value else None
    except (ValueError, OverflowError):
        return None
    if when is None or when.tzinfo is None:
        return None
    return max(0.0, (when - datetime.now(UTC)).total_seconds())


def _said(error: Mapping[str, Any], status: int) -> str:
    message = error.get("message")
    words = " ".join(message.split()) if isinstance(message, str) else ""
    if len(words) > LONGEST_SAID:
        # never inside a word: part of a key that is echoed would not be known as one
        words = words[:LONGEST_SAID].rstrip(_VISIBLE).rstrip()
    return words or f"HTTP {status}."
