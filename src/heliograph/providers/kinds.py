"""What each failure means for trying again: fourteen kinds, and the table that treats them.

Pure data and pure functions; the table is reliability.md section 3. Invariant: an error is judged
by its type, its facts and whether it was charged, never by its words; what may have been paid for
is of no kind that is tried again.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from heliograph.errors import (
    Charged,
    CorruptImage,
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    NoImage,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Refused,
    UntrustedUpstream,
    UpstreamClosed,
)

LONGEST_TOLD_WAIT = 300.0  # seconds; a longer RetryInfo closes a gate instead
LONGEST_BACKOFF = 60.0  # seconds


class Kind(Enum):
    """Why an attempt failed, as far as trying again is concerned."""

    NOT_SENT = "not_sent"  # the upstream never received the whole request
    TLS_TRUST = "tls_trust"  # its certificate does not hold
    RATE = "rate"  # too fast; a wait helps
    CAPACITY = "capacity"  # it has no room for the model now
    DEADLINE = "deadline"  # it gave up by itself
    TERMINAL_QUOTA = "terminal_quota"  # this project has no more of this model for long
    SPEND_LIMIT = "spend_limit"  # this project may not spend, whatever the model
    CREDENTIAL = "credential"  # this key is not accepted
    CALLER = "caller"  # the request, or our own side, is wrong: the same at every place
    POLICY = "policy"  # the provider's content policy said no
    NO_IMAGE = "no_image"  # a whole answer without a picture
    UNKNOWN = "unknown"  # sent whole, never answered whole: it may be paid for
    CORRUPT_PAID = "corrupt_paid"  # paid for, and the bytes are no picture
    PROTOCOL = "protocol"  # an answer that makes no sense


@dataclass(frozen=True, kw_only=True)
class Treatment:
    """What may be done after a failure of one kind."""

    retries: int = 0  # at most, for one request
    base: float = 0.0  # seconds; full jitter below base · 2ⁿ
    floor: float = 0.0  # share of the base that is always waited
    counts_for_breaker: bool = False
    uses_retry_budget: bool = False  # a hop to another place is then one of the retries, too
    may_fail_over: bool = False  # another project, or another key, may do better


POLICY: Mapping[Kind, Treatment] = {
    Kind.NOT_SENT: Treatment(
        retries=3, base=0.5, counts_for_breaker=True, uses_retry_budget=True, may_fail_over=True
    ),
    # the breaker opens at once
    Kind.TLS_TRUST: Treatment(counts_for_breaker=True),
    # only when the wait is too long or the retries are used up
    Kind.RATE: Treatment(retries=3, base=5.0, floor=0.5, may_fail_over=True),
    Kind.CAPACITY: Treatment(
        retries=2, base=1.0, counts_for_breaker=True, uses_retry_budget=True, may_fail_over=True
    ),
    Kind.DEADLINE: Treatment(
        retries=1, base=1.0, counts_for_breaker=True, uses_retry_budget=True, may_fail_over=True
    ),
    Kind.TERMINAL_QUOTA: Treatment(may_fail_over=True),
    Kind.SPEND_LIMIT: Treatment(may_fail_over=True),
    Kind.CREDENTIAL: Treatment(may_fail_over=True),
    Kind.CALLER: Treatment(),
    # another place would be filter-shopping
    Kind.POLICY: Treatment(),
    Kind.NO_IMAGE: Treatment(uses_retry_budget=True),
    Kind.UNKNOWN: Treatment(counts_for_breaker=True),
    # a counter of its own, so that it neither hides nor feeds an outage
    Kind.CORRUPT_PAID: Treatment(counts_for_breaker=True),
    Kind.PROTOCOL: Treatment(counts_for_breaker=True),
}

# the model itself answered, so the way to it is sound
ANSWERED = frozenset({Kind.POLICY, Kind.NO_IMAGE})

_KINDS: Mapping[type[HeliographError], Kind] = {
    HeliographError: Kind.CALLER,  # whatever is not named below, HTTP 499 included
    NotSent: Kind.NOT_SENT,
    UpstreamClosed: Kind.NOT_SENT,  # every place gets a rest: none was asked
    UntrustedUpstream: Kind.TLS_TRUST,
    RateLimited: Kind.RATE,
    Overloaded: Kind.CAPACITY,
    DeadlineExceeded: Kind.DEADLINE,
    QuotaExhausted: Kind.TERMINAL_QUOTA,
    CredentialRejected: Kind.CREDENTIAL,
    Refused: Kind.POLICY,
    NoImage: Kind.NO_IMAGE,
    OutcomeUnknown: Kind.UNKNOWN,
    CorruptImage: Kind.CORRUPT_PAID,
    ProtocolError: Kind.PROTOCOL,
}


def kind_of(error: HeliographError) -> Kind:
    """The kind of a failure.

    An error that would be tried again but may have been charged (an overload reported behind a
    picture that had arrived) is `UNKNOWN`.
    """
    kind = next(_KINDS[c] for c in type(error).__mro__ if c in _KINDS)
    if kind is Kind.TERMINAL_QUOTA and error.facts.get("quota") in ("spend", "depleted"):
        kind = Kind.SPEND_LIMIT
    if error.charged is not Charged.NO and POLICY[kind].may_fail_over:
        return Kind.UNKNOWN
    return kind


def model_is_gone(error: HeliographError) -> bool:
    """Whether the upstream does not know the model (retired): another model may do, no other key.

    Only in Google's own words; a 404 without its error body comes from something on the way.
    """
    return error.facts.get("http_status") == 404 and error.facts.get("status") == "NOT_FOUND"


def wait_before(error: HeliographError, failures: int, chance: random.Random) -> float | None:
    """Seconds to wait before trying again at the same place, or None when that is wrong.

    Args:
        error: what went wrong last.
        failures: how many attempts of the request have failed so far, this one included.
        chance: where the jitter comes from.
    """
    treatment = POLICY[kind_of(error)]
    if error.charged is not Charged.NO or failures > treatment.retries:
        return None
    if error.retry_after is not None:
        if error.retry_after > LONGEST_TOLD_WAIT:
            return None
        return error.retry_after * chance.uniform(1.0, 1.1)
    ceiling = min(LONGEST_BACKOFF, treatment.base * 2 ** (failures - 1))
    return chance.uniform(treatment.base * treatment.floor, ceiling)
