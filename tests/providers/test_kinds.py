"""Every error has one kind, and every kind its row of reliability.md section 3."""

import random
from typing import Any

import pytest

from heliograph.errors import (
    Charged,
    ConfigurationError,
    CorruptImage,
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    NoImage,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    Refused,
    RequestRejected,
    SizeMismatch,
    StorageError,
    UntrustedUpstream,
    UpstreamClosed,
    UpstreamError,
)
from heliograph.providers.classify import classify
from heliograph.providers.kinds import (
    ANSWERED,
    POLICY,
    Kind,
    Treatment,
    kind_of,
    model_is_gone,
    wait_before,
)


def quota(word: str | None) -> QuotaExhausted:
    return QuotaExhausted("x", facts={"quota": word} if word else {})


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (NotSent("x"), Kind.NOT_SENT),
        (UpstreamClosed("x"), Kind.NOT_SENT),
        (UntrustedUpstream("x"), Kind.TLS_TRUST),
        (RateLimited("x"), Kind.RATE),
        (Overloaded("x"), Kind.CAPACITY),
        (DeadlineExceeded("x"), Kind.DEADLINE),
        (quota("day"), Kind.TERMINAL_QUOTA),
        (quota("free_tier"), Kind.TERMINAL_QUOTA),
        (quota(None), Kind.TERMINAL_QUOTA),
        (quota("spend"), Kind.SPEND_LIMIT),
        (quota("depleted"), Kind.SPEND_LIMIT),
        (RateLimited("x", facts={"quota": "spend"}), Kind.RATE),
        (CredentialRejected("x"), Kind.CREDENTIAL),
        (RequestRejected("x"), Kind.CALLER),
        (UpstreamError("x"), Kind.CALLER),
        (ConfigurationError("x"), Kind.CALLER),
        (StorageError("x"), Kind.CALLER),
        (SizeMismatch("x", charged=Charged.YES), Kind.CALLER),
        (HeliographError("x"), Kind.CALLER),
        (PolicyBlocked("x"), Kind.POLICY),
        (PolicyBlocked("x", charged=Charged.YES), Kind.POLICY),
        (Refused("x"), Kind.POLICY),
        (NoImage("x"), Kind.NO_IMAGE),
        (NoImage("x", charged=Charged.YES), Kind.NO_IMAGE),
        (OutcomeUnknown("x", charged=Charged.UNKNOWN), Kind.UNKNOWN),
        (CorruptImage("x", charged=Charged.YES), Kind.CORRUPT_PAID),
        (ProtocolError("x"), Kind.PROTOCOL),
        (ProtocolError("x", charged=Charged.UNKNOWN), Kind.PROTOCOL),
    ],
)
def test_each_error_has_one_kind(error: HeliographError, kind: Kind) -> None:
    assert kind_of(error) is kind


@pytest.mark.parametrize("charged", [Charged.YES, Charged.UNKNOWN])
@pytest.mark.parametrize(
    "kind",
    [NotSent, RateLimited, Overloaded, DeadlineExceeded, QuotaExhausted, CredentialRejected],
)
def test_what_may_have_been_paid_for_is_unknown(
    kind: type[HeliographError], charged: Charged
) -> None:
    assert kind_of(kind("x", charged=charged)) is Kind.UNKNOWN
    spent = kind("x", charged=charged, facts={"quota": "spend"})
    assert kind_of(spent) is Kind.UNKNOWN


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (499, {"status": "CANCELLED"}, Kind.CALLER),
        (502, None, Kind.CAPACITY),  # an HTML page of something on the way
        (529, {}, Kind.CAPACITY),
        (504, {}, Kind.DEADLINE),
        (404, {"status": "NOT_FOUND"}, Kind.CALLER),
        (413, {}, Kind.CALLER),
        (401, None, Kind.CREDENTIAL),
        (302, None, Kind.PROTOCOL),
        (429, {"message": "Your prepayment credits are depleted."}, Kind.SPEND_LIMIT),
        (429, {"type": "spend_limit_exceeded"}, Kind.SPEND_LIMIT),
        (429, {}, Kind.RATE),
    ],
)
def test_the_kinds_of_answers(status: int, error: dict[str, Any] | None, kind: Kind) -> None:
    assert kind_of(classify(status, error, {})) is kind


def row(retries: int = 0, base: float = 0.0, floor: float = 0.0, *, marks: str = "") -> Treatment:
    """`b` counts for the breaker, `$` uses the retry budget, `f` may fail over."""
    return Treatment(
        retries=retries,
        base=base,
        floor=floor,
        counts_for_breaker="b" in marks,
        uses_retry_budget="$" in marks,
        may_fail_over="f" in marks,
    )


def test_the_table() -> None:
    assert dict(POLICY) == {
        Kind.NOT_SENT: row(3, 0.5, marks="b$f"),
        Kind.TLS_TRUST: row(marks="b"),
        Kind.RATE: row(3, 5.0, 0.5, marks="f"),
        Kind.CAPACITY: row(2, 1.0, marks="b$f"),
        Kind.DEADLINE: row(1, 1.0, marks="b$f"),
        Kind.TERMINAL_QUOTA: row(marks="f"),
        Kind.SPEND_LIMIT: row(marks="f"),
        Kind.CREDENTIAL: row(marks="f"),
        Kind.CALLER: row(),
        Kind.POLICY: row(),
        Kind.NO_IMAGE: row(marks="$"),
        Kind.UNKNOWN: row(marks="b"),
        Kind.CORRUPT_PAID: row(marks="b"),
        Kind.PROTOCOL: row(marks="b"),
    }
    assert set(POLICY) == set(Kind)
    assert {Kind.POLICY, Kind.NO_IMAGE} == ANSWERED


def test_the_words_for_kinds_in_metrics_stay_the_same() -> None:
    assert [kind.value for kind in Kind] == [kind.name.lower() for kind in Kind]


def test_a_model_is_gone_only_in_the_upstreams_own_words() -> None:
    assert model_is_gone(classify(404, {"status": "NOT_FOUND"}, {}))
    assert not model_is_gone(classify(404, None, {}))
    assert not model_is_gone(classify(400, {"status": "NOT_FOUND"}, {}))
    assert not model_is_gone(NotSent("x"))


# ---------------------------------------------------------------- waits


class Highest(random.Random):
    """Always the upper end of what is asked."""

    def uniform(self, a: float, b: float) -> float:
        return max(a, b)


class Lowest(random.Random):
    """Always the lower end of what is asked."""

    def uniform(self, a: float, b: float) -> float:
        return min(a, b)


@pytest.mark.parametrize(
    ("error", "failures", "lowest", "highest"),
    [
        (NotSent("x"), 1, 0.0, 0.5),
        (NotSent("x"), 3, 0.0, 2.0),
        (Overloaded("x"), 1, 0.0, 1.0),
        (Overloaded("x"), 2, 0.0, 2.0),
        (RateLimited("x"), 1, 2.5, 5.0),
        (RateLimited("x"), 3, 2.5, 20.0),
        (DeadlineExceeded("x"), 1, 0.0, 1.0),
        (RateLimited("x", retry_after=7.0), 1, 7.0, 7.0 * 1.1),
        (RateLimited("x", retry_after=0.0), 1, 0.0, 0.0),
        (RateLimited("x", retry_after=300.0), 3, 300.0, 300.0 * 1.1),
        (Overloaded("x", retry_after=9.0), 2, 9.0, 9.0 * 1.1),
    ],
)
def test_how_long_to_wait(
    error: HeliographError, failures: int, lowest: float, highest: float
) -> None:
    assert wait_before(error, failures, Lowest()) == lowest
    assert wait_before(error, failures, Highest()) == highest


@pytest.mark.parametrize(
    ("error", "failures"),
    [
        (NotSent("x"), 4),
        (Overloaded("x"), 3),
        (RateLimited("x"), 4),
        (DeadlineExceeded("x"), 2),
        (RateLimited("x", retry_after=300.1), 1),
        (Overloaded("x", charged=Charged.UNKNOWN), 1),
        (OutcomeUnknown("x"), 1),
        (NoImage("x"), 1),
        (quota("day"), 1),
    ],
)
def test_when_not_to_wait(error: HeliographError, failures: int) -> None:
    assert wait_before(error, failures, Highest()) is None


def test_no_backoff_is_longer_than_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    longer = {**POLICY, Kind.CAPACITY: Treatment(retries=9, base=1.0)}
    monkeypatch.setattr("heliograph.providers.kinds.POLICY", longer)
    assert wait_before(Overloaded("x"), 6, Highest()) == 32.0
    assert wait_before(Overloaded("x"), 7, Highest()) == 60.0
    paid = NoImage("x", charged=Charged.YES)
    monkeypatch.setitem(longer, Kind.NO_IMAGE, Treatment(retries=1, base=1.0))
    assert wait_before(paid, 1, Highest()) is None
