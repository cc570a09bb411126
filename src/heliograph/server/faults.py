"""Errors as HTTP: status, machine-readable code and the headers that SDKs obey.

One table for all faces; each face has its own envelope around it. Invariant: no error is a plain
500, none tells a path, a statement or a stack, and each says whether it was charged and whether
sending it again can help.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from heliograph import errors
from heliograph.errors import Charged, HeliographError

LONGEST_RETRY = 60.0  # seconds; SDKs believe no longer Retry-After


class Fault(HeliographError):
    """The gateway itself refuses; nothing was sent upstream, nothing charged.

    Attributes:
        status: HTTP status.
    """

    status: ClassVar[int] = 400
    code = "bad_request"


class Unauthenticated(Fault):
    """No good credential."""

    status = 401
    code = "unauthenticated"


class AmbiguousCredentials(Fault):
    """Two different credentials at once."""

    code = "ambiguous_credentials"


class Forbidden(Fault):
    """The caller is known, and may not do this."""

    status = 403
    code = "forbidden"


class ModelNotFound(Fault):
    """No live model has this name."""

    status = 404
    code = "model_not_found"


class UrlInputsDisabled(Fault):
    """A picture is named by an address, and addresses are not fetched."""

    code = "url_inputs_disabled"


class Gone(Fault):
    """It was there, and is not any more."""

    status = 410
    code = "gone"


class MethodNotAllowed(Fault):
    """The path takes other methods."""

    status = 405
    code = "method_not_allowed"


class KeyInUse(Fault):
    """The idempotency key's first request is still being worked on."""

    status = 409
    code = "idempotency_key_in_use"
    retryable = True


class TooLarge(Fault):
    """More bytes than are taken."""

    status = 413
    code = "too_large"


class UnsupportedMedia(Fault):
    """A content type, encoding or file type that is not taken."""

    status = 415
    code = "unsupported_media_type"


class RangeNotSatisfiable(Fault):
    """No such bytes."""

    status = 416
    code = "range_not_satisfiable"


class TooMany(Fault):
    """More requests than the user's limits allow."""

    status = 429
    code = "too_many_requests"
    retryable = True


class Busy(Fault):
    """The gateway has no place for this job now, or is stopping."""

    status = 503
    code = "busy"
    retryable = True


class StorageLow(Fault):
    """Too little space for what a call may bring; 507 on the native face, 503 elsewhere."""

    status = 503
    code = "storage_low"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """An error as HTTP."""

    status: int
    code: str
    should_retry: bool
    retry_after: float | None  # seconds

    @property
    def headers(self) -> Mapping[str, str]:
        """`x-should-retry`, and `Retry-After` where it is known."""
        found = {"x-should-retry": "true" if self.should_retry else "false"}
        if self.retry_after is not None and math.isfinite(self.retry_after):
            found["retry-after"] = str(max(1, math.ceil(self.retry_after)))
        return found


# the most special first
_STATUSES: tuple[tuple[type[HeliographError], int, str], ...] = (
    (errors.KeyReused, 422, "idempotency_key_reused"),
    (errors.PriceUnknown, 400, "price_unknown"),
    (errors.InvalidRequest, 400, "invalid_request"),
    (errors.CredentialRejected, 502, "upstream_credential"),
    (errors.MissingKey, 503, "upstream_not_configured"),
    (errors.ConfigurationError, 503, "not_configured"),
    (errors.BudgetExceeded, 429, "insufficient_quota"),
    (errors.CostLimitExceeded, 400, "cost_limit"),
    (errors.NotSent, 503, "upstream_unreachable"),
    (errors.UntrustedUpstream, 502, "upstream_tls"),
    (errors.RequestRejected, 400, "upstream_rejected"),
    (errors.RateLimited, 429, "rate_limited"),
    (errors.QuotaExhausted, 429, "upstream_quota"),
    (errors.UpstreamClosed, 503, "upstream_closed"),
    (errors.Overloaded, 503, "overloaded"),
    (errors.DeadlineExceeded, 504, "deadline_exceeded"),
    (errors.OutcomeUnknown, 504, "outcome_unknown"),
    (errors.CorruptImage, 502, "upstream_corrupt"),
    (errors.ProtocolError, 502, "upstream_protocol"),
    (errors.UpstreamError, 502, "upstream"),
    (errors.PolicyBlocked, 400, "content_policy"),
    (errors.Refused, 422, "no_image"),
    (errors.SizeMismatch, 502, "size_mismatch"),
    (errors.RecordNotFound, 404, "not_found"),
    (errors.NameTaken, 409, "name_taken"),
    (errors.CardChanged, 409, "changed"),
    (errors.CallTaken, 409, "in_use"),
    (errors.WouldOverwrite, 409, "exists"),
    (errors.FinishError, 422, "finish_failed"),
    (errors.StorageError, 503, "storage"),
)


def verdict(error: HeliographError) -> Verdict:
    """The HTTP side of an error."""
    status, code = _status(error)
    wait = error.retry_after
    helps = error.retryable and error.charged is Charged.NO and status in (409, 429, 503, 504)
    return Verdict(
        status=status,
        code=code,
        should_retry=helps and (wait is None or wait <= LONGEST_RETRY),
        retry_after=wait,
    )


def _status(error: HeliographError) -> tuple[int, str]:
    if isinstance(error, Fault):
        return error.status, error.code
    for kind, status, code in _STATUSES:
        if isinstance(error, kind):
            upstream = error.facts.get("http_status")
            if kind is errors.RequestRejected and upstream in (404, 413):
                return int(upstream), "model_not_found" if upstream == 404 else "too_large"
            return status, code
    return 503, "error"


def is_final(error: HeliographError) -> bool:
    """Whether an idempotency key keeps this failure: it may be charged, or the request can never
    succeed. What cost nothing and may be tried again (429, 503, never sent) is not kept."""
    return error.charged is not Charged.NO or verdict(error).status not in (409, 429, 503)
