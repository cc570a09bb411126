"""Each error row of gemini-api.md 5.2 becomes the one error that tells the user what to do."""

import random
from typing import Any

import pytest

from heliograph.errors import (
    CredentialRejected,
    DeadlineExceeded,
    HeliographError,
    NotSent,
    OutcomeUnknown,
    Overloaded,
    PolicyBlocked,
    ProtocolError,
    QuotaExhausted,
    RateLimited,
    RequestRejected,
    UpstreamError,
)
from heliograph.providers.calling import LONGEST_TOLD_WAIT, wait_before
from heliograph.providers.classify import classify

RPC = "type.googleapis.com/google.rpc."


def info(reason: str) -> dict[str, Any]:
    return {"@type": RPC + "ErrorInfo", "reason": reason, "domain": "googleapis.com"}


def quota(quota_id: str, value: str | None = None) -> dict[str, Any]:
    violation = {"quotaMetric": "m", "quotaId": quota_id}
    if value is not None:
        violation["quotaValue"] = value
    return {"@type": RPC + "QuotaFailure", "violations": [violation]}


def retry(delay: str) -> dict[str, Any]:
    return {"@type": RPC + "RetryInfo", "retryDelay": delay}


MINUTE = "GenerateRequestsPerMinutePerProjectPerModel"
DAY = "GenerateRequestsPerDayPerProjectPerModel"
ROWS: list[tuple[int, str, list[dict[str, Any]], type[HeliographError], float | None]] = [
    (400, "API key not valid.", [info("API_KEY_INVALID")], CredentialRejected, None),
    (400, "User location is not supported for the API use.", [], RequestRejected, None),
    (400, "Request contains an invalid argument.", [], RequestRejected, None),
    (401, "Request had invalid authentication credentials.", [], CredentialRejected, None),
    (403, "Your API key was reported as leaked.", [], CredentialRejected, None),
    (403, "blocked", [info("API_KEY_SERVICE_BLOCKED")], CredentialRejected, None),
    (403, "off", [info("SERVICE_DISABLED")], CredentialRejected, None),
    (404, "models/X is not found", [], RequestRejected, None),
    (413, "too large", [], RequestRejected, None),
    (429, "quota", [quota(MINUTE, "10"), retry("7s")], RateLimited, 7.0),
    (429, "quota", [retry("37.36s"), quota(MINUTE, "10")], RateLimited, 37.36),
    (429, "Resource exhausted. Please try again later.", [], RateLimited, None),
    (429, "quota", [quota(DAY, "250"), retry("37s")], QuotaExhausted, None),
    (429, "limit: 0", [quota(MINUTE + "-FreeTier"), retry("37s")], QuotaExhausted, None),
    (429, "limit: 0", [quota(MINUTE + "-FreeTier", "0")], QuotaExhausted, None),
    (429, "free", [quota(MINUTE + "-FreeTier", "5"), retry("3s")], RateLimited, 3.0),
    (429, "Your prepayment credits are depleted. Please go", [], QuotaExhausted, None),
    (429, "capacity", [info("MODEL_CAPACITY_EXHAUSTED")], Overloaded, None),
    (499, "The operation was cancelled.", [], UpstreamError, None),
    (500, "An internal error has occurred.", [], Overloaded, None),
    (502, "", [], Overloaded, None),
    (503, "The model is overloaded.", [], Overloaded, None),
    (504, "Deadline expired before operation could complete.", [], DeadlineExceeded, None),
    (302, "", [], ProtocolError, None),
]


@pytest.mark.parametrize(("code", "message", "details", "kind", "wait"), ROWS)
def test_each_row(
    code: int,
    message: str,
    details: list[dict[str, Any]],
    kind: type[HeliographError],
    wait: float | None,
) -> None:
    error = classify(code, {"code": code, "message": message, "details": details}, {})
    assert type(error) is kind
    assert error.retry_after == wait
    assert error.remedy
    assert error.facts["http_status"] == code


def test_the_text_alone_never_decides() -> None:
    lying = {"message": "429 RESOURCE_EXHAUSTED PerDay limit: 0, retry in 1s", "details": []}
    assert type(classify(503, lying, {})) is Overloaded
    assert type(classify(429, lying, {})) is RateLimited


def test_the_longer_of_header_and_detail_counts() -> None:
    body = {"details": [retry("5s")]}
    assert classify(429, body, {"retry-after": "9"}).retry_after == 9.0
    assert classify(429, body, {"retry-after": "soon"}).retry_after == 5.0


@pytest.mark.parametrize("details", ["x", [1, None], [{"@type": 3}], {"a": 1}, [retry("-5s")]])
def test_malformed_details_are_survived(details: Any) -> None:
    assert type(classify(429, {"details": details}, {})) is RateLimited


def test_never_earlier_than_told() -> None:
    for seed in range(1000):
        wait = wait_before(RateLimited("x", retry_after=7.0), 1, random.Random(seed))
        assert wait is not None
        assert 7.0 <= wait <= 7.7


def test_a_longer_wait_than_allowed_goes_back_to_the_caller() -> None:
    told = RateLimited("x", retry_after=LONGEST_TOLD_WAIT + 1)
    assert wait_before(told, 1, random.Random(1)) is None


@pytest.mark.parametrize(
    ("error", "retries"),
    [
        (NotSent("x"), 3),
        (RateLimited("x"), 3),
        (Overloaded("x"), 2),
        (DeadlineExceeded("x"), 1),
        (OutcomeUnknown("x"), 0),
        (PolicyBlocked("x"), 0),
        (QuotaExhausted("x"), 0),
        (CredentialRejected("x"), 0),
        (RequestRejected("x"), 0),
        (ProtocolError("x"), 0),
    ],
)
def test_how_often_each_class_is_tried_again(error: HeliographError, retries: int) -> None:
    allowed = [wait_before(error, n, random.Random(n)) is not None for n in range(1, 6)]
    assert allowed == [n <= retries for n in range(1, 6)]


def test_unhinted_rate_waits_spread_above_their_floor() -> None:
    waits = [wait_before(RateLimited("x"), 1, random.Random(s)) or 0 for s in range(100)]
    assert min(waits) >= 2.5
    bins = [sum(1 for w in waits if b <= w * 10 < b + 1) for b in range(50)]
    assert max(bins) <= 12
