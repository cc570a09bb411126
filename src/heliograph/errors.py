"""Every error Heliograph raises, drawn as one tree.

    HeliographError                                                          exit 1
    ├── InvalidRequest            the request cannot be sent as it is        exit 2
    │   ├── PriceUnknown          no dated price, so never free
    │   └── KeyReused             an idempotency key came with another request
    ├── ConfigurationError        settings or keys are missing or wrong      exit 2
    │   ├── MissingKey                                                       exit 4
    │   └── CredentialRejected    the upstream does not accept the key       exit 4
    ├── CostLimitExceeded         dearer than the caller allows              exit 7
    │   └── BudgetExceeded        dearer than what a budget has left
    ├── UpstreamError             the upstream did not answer with an image  exit 8
    │   ├── NotSent               it never received the request
    │   ├── UntrustedUpstream     its TLS certificate does not hold
    │   ├── RequestRejected       it calls the request wrong                 exit 2
    │   ├── RateLimited           too fast; try again later                  exit 5
    │   ├── QuotaExhausted        waiting a little will not help             exit 5
    │   ├── Overloaded            it has no capacity now
    │   ├── UpstreamClosed        it failed so often that it gets a rest
    │   ├── DeadlineExceeded      it gave up by itself
    │   ├── OutcomeUnknown        sent, but the answer never came whole
    │   ├── ProtocolError         it answered something that makes no sense
    │   └── CorruptImage          paid for, but the bytes are not an image
    ├── Refused                   a whole answer without an image            exit 6
    │   ├── PolicyBlocked
    │   └── NoImage
    ├── SizeMismatch              `strict`: other pixels than asked          exit 8
    └── StorageError              a file or the database said no             exit 1
        ├── WouldOverwrite                                                   exit 2
        ├── RecordNotFound                                                   exit 9
        ├── CallTaken             another process has this call in its hands
        ├── CardChanged           it is of another version than was read
        ├── NameTaken             something else has this name already       exit 2
        └── FinishError           the original is safe, an export failed     exit 3

Invariant: each error says what happened, why, what to do, whether it was charged, and
whether trying again can help. Foreign errors are mapped where they enter, cause kept.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar


class Charged(Enum):
    """Whether the upstream bills the call behind an error."""

    NO = "no"
    YES = "yes"
    UNKNOWN = "unknown"


class HeliographError(Exception):
    """Base of the tree; catch this to catch everything Heliograph raises on purpose.

    Attributes:
        what: one sentence, safe to show to anyone.
        why: the reason as far as it is known, or None.
        remedy: what the reader can do, or None.
        charged: whether money was spent.
        retry_after: seconds to wait before the same request can succeed; None when unknown.
        record_id: the kept record that belongs to this failure, when there is one.
        facts: machine-readable details (upstream code, finish reason, sizes …).
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        what: str,
        *,
        why: str | None = None,
        remedy: str | None = None,
        charged: Charged = Charged.NO,
        retry_after: float | None = None,
        record_id: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.remedy = remedy
        self.charged = charged
        self.retry_after = retry_after
        self.record_id = record_id
        self.facts: dict[str, Any] = dict(facts or {})

    def __str__(self) -> str:
        sentences = [self.what, self.why, self.remedy]
        return " ".join(s for s in sentences if s)

    def as_dict(self) -> dict[str, Any]:
        """The error as JSON-ready values; the shape `--json` prints."""
        return {
            "code": self.code,
            "what": self.what,
            "why": self.why,
            "remedy": self.remedy,
            "charged": self.charged.value,
            "retryable": self.retryable,
            "retry_after_seconds": self.retry_after,
            "record_id": self.record_id,
            "facts": self.facts,
        }


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a request."""

    field: str  # the request field, as the caller spelled it in the API ("size", "aspect" …)
    value: str  # what was given
    message: str  # what is wrong, one sentence
    nearest: tuple[str, ...] = ()  # valid values, nearest first

    def __str__(self) -> str:
        hint = f" Nearest: {', '.join(self.nearest)}." if self.nearest else ""
        return f"{self.field}={self.value!r}: {self.message}{hint}"


class InvalidRequest(HeliographError):
    """The request contradicts the model's table; nothing was sent. Lists all problems."""

    code = "invalid_request"
    exit_code = 2

    def __init__(self, problems: Sequence[Problem], *, remedy: str | None = None) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        super().__init__(
            f"The request has {count} problem{'s' if count != 1 else ''}.",
            why="; ".join(str(p) for p in self.problems),
            remedy=remedy or "Change what is listed and try again; nothing was sent.",
            facts={
                "problems": [
                    {
                        "field": p.field,
                        "value": p.value,
                        "message": p.message,
                        "nearest": list(p.nearest),
                    }
                    for p in self.problems
                ]
            },
        )


class PriceUnknown(InvalidRequest):
    """The model has no dated price, so the cost cannot be known before the call."""

    code = "price_unknown"


class KeyReused(InvalidRequest):
    """The idempotency key belongs to another request; nothing was sent."""

    code = "idempotency_key_reused"


class ConfigurationError(HeliographError):
    """A setting is missing or wrong."""

    code = "configuration"
    exit_code = 2


class MissingKey(ConfigurationError):
    """No API key was found in any configured place."""

    code = "missing_key"
    exit_code = 4


class CredentialRejected(ConfigurationError):
    """The upstream does not accept the key (invalid, expired, leaked, blocked)."""

    code = "credential_rejected"
    exit_code = 4


class CostLimitExceeded(HeliographError):
    """The estimate is above the caller's limit; nothing was sent."""

    code = "cost_limit"
    exit_code = 7


class BudgetExceeded(CostLimitExceeded):
    """A budget has not enough left; nothing was sent."""

    code = "budget_exceeded"


class UpstreamError(HeliographError):
    """The upstream did not answer with an image."""

    code = "upstream"
    exit_code = 8


class NotSent(UpstreamError):
    """The upstream provably never received the whole request."""

    code = "not_sent"
    retryable = True


class UntrustedUpstream(UpstreamError):
    """The upstream's TLS certificate does not hold; never retried, never overridden."""

    code = "upstream_tls"


class RequestRejected(UpstreamError):
    """The upstream calls the request wrong (HTTP 400, 404, 413)."""

    code = "request_rejected"
    exit_code = 2


class RateLimited(UpstreamError):
    """Too many requests; `retry_after` tells when to come back."""

    code = "rate_limited"
    exit_code = 5
    retryable = True


class QuotaExhausted(UpstreamError):
    """A daily quota, a free tier, prepaid credit or a spend cap is used up."""

    code = "quota_exhausted"
    exit_code = 5


class Overloaded(UpstreamError):
    """The upstream has no capacity now (HTTP 500, 502, 503, 529)."""

    code = "overloaded"
    retryable = True


class UpstreamClosed(UpstreamError):
    """No key and project may be tried now: too many failures, or a quota that is used up."""

    code = "upstream_closed"
    retryable = True


class DeadlineExceeded(UpstreamError):
    """The upstream itself gave up (HTTP 504 with a body)."""

    code = "deadline_exceeded"
    retryable = True


class OutcomeUnknown(UpstreamError):
    """The request was sent whole and the answer never came whole; it may be charged."""

    code = "outcome_unknown"


class ProtocolError(UpstreamError):
    """The answer does not have the shape of an answer."""

    code = "upstream_protocol"


class CorruptImage(UpstreamError):
    """The answer came and is paid for, but its bytes are no intact image."""

    code = "corrupt_image"


class Refused(HeliographError):
    """The upstream answered whole, without an image."""

    code = "refused"
    exit_code = 6


class PolicyBlocked(Refused):
    """The provider's content policy stopped the prompt or the image; never retried."""

    code = "policy_blocked"


class NoImage(Refused):
    """The model answered without drawing (text only, thoughts only, cut short)."""

    code = "no_image"
    retryable = True


class SizeMismatch(HeliographError):
    """With `strict`: the image is kept, but its pixels are not what was asked."""

    code = "size_mismatch"
    exit_code = 8


class StorageError(HeliographError):
    """A file or the database refused."""

    code = "storage"
    exit_code = 1


class WouldOverwrite(StorageError):
    """The destination exists and `force` was not given."""

    code = "would_overwrite"
    exit_code = 2


class RecordNotFound(StorageError):
    """No record has this id."""

    code = "not_found"
    exit_code = 9


class CallTaken(StorageError):
    """Another process has taken this call over, or is making it."""

    code = "call_taken"


class CardChanged(StorageError):
    """What was to be changed is of another version by now; nothing was written."""

    code = "card_changed"
    retryable = True


class NameTaken(StorageError):
    """Something else has this name or id already; nothing was written."""

    code = "name_taken"
    exit_code = 2


class FinishError(StorageError):
    """The original is safe; this export could not be made as asked."""

    code = "finish_failed"
    exit_code = 3


def revived(document: Mapping[str, Any]) -> HeliographError:
    """An error made again from its `as_dict`, such as one that an idempotency key repeats."""
    kind = _by_code(HeliographError).get(str(document.get("code")), HeliographError)
    error = kind.__new__(kind)
    HeliographError.__init__(
        error,
        str(document.get("what")),
        why=document.get("why"),
        remedy=document.get("remedy"),
        charged=Charged(document.get("charged", Charged.UNKNOWN.value)),
        retry_after=document.get("retry_after_seconds"),
        record_id=document.get("record_id"),
        facts=document.get("facts"),
    )
    if isinstance(error, InvalidRequest):
        error.problems = ()
    return error


def _by_code(kind: type[HeliographError]) -> dict[str, type[HeliographError]]:
    found = {kind.code: kind}
    for below in kind.__subclasses__():
        # the product's own, the gateway's among them; others are nobody's to keep
        if below.__module__.partition(".")[0] == __package__:
            found = _by_code(below) | found
    return found
