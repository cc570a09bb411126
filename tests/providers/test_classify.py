"""Each error row of gemini-api.md 5.2 becomes the one error that tells the user what to do."""

import random
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
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
from heliograph.providers.classify import CREDENTIAL_REASONS, classify
from heliograph.providers.kinds import LONGEST_TOLD_WAIT, wait_before

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


_KEYS = [chr(code) for code in range(33, 127)]  # what a key can be made of
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
    (600, "", [], ProtocolError, None),
    (200, "", [], ProtocolError, None),
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
    (529, "overloaded", [], Overloaded, None),
    (429, "spend", [info("spend_limit_exceeded")], QuotaExhausted, None),
    (429, "spend", [info("BILLING_LIMIT_EXCEEDED")], QuotaExhausted, None),
    (429, "credits", [info("CREDITS_DEPLETED")], QuotaExhausted, None),
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


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ({"details": [quota(DAY, "250"), retry("37s")]}, "day"),
        ({"details": [quota(DAY + "-FreeTier", "250")]}, "day"),
        ({"details": [quota(DAY + "-FreeTier")]}, "free_tier"),
        ({"details": [quota(MINUTE + "-FreeTier", "0")]}, "free_tier"),
        ({"details": [quota(MINUTE + "-FreeTier", "5")]}, "minute"),
        ({"details": [quota(MINUTE, "10")]}, "minute"),
        ({"details": [retry("7s")]}, None),
        ({"details": [info("SPEND_LIMIT_EXCEEDED")]}, "spend"),
        ({"details": [], "type": "spend_limit_exceeded"}, "spend"),
        ({"details": [info("CREDITS_DEPLETED")]}, "depleted"),
        ({"message": "Your prepayment credits are depleted. Please go"}, "depleted"),
        ({"message": "Your prepayment credits are depleted.", "details": [retry("1s")]}, None),
        ({"details": [info("MODEL_CAPACITY_EXHAUSTED"), quota(DAY, "250")]}, None),
    ],
)
def test_which_quota_it_was(error: dict[str, Any], word: str | None) -> None:
    assert classify(429, error, {}).facts.get("quota") == word


def test_a_place_that_is_not_served_is_told_the_way_out() -> None:
    found = classify(400, {"status": "FAILED_PRECONDITION"}, {})
    assert found.remedy is not None
    assert "Vertex AI" in found.remedy


def test_a_header_may_name_the_hour() -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    wait = classify(503, None, {"retry-after": then}).retry_after
    assert wait is not None
    assert 90 < wait <= 100
    past = format_datetime(datetime.now(UTC) - timedelta(seconds=100), usegmt=True)
    assert classify(503, None, {"retry-after": past}).retry_after == 0.0
    nowhere = "Mon, 01 Jan 2029 00:00:00 -0000"
    assert classify(503, None, {"retry-after": nowhere}).retry_after is None


@pytest.mark.parametrize(
    "date",
    [
        f"Mon, 01 Jan 2029 00:00:00 +{'9' * 20}",
        f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
        "Mon, 99 Jan 2029 00:00:00 GMT",
    ],
)
def test_an_hour_that_there_is_not_says_nothing(date: str) -> None:
    found = classify(429, None, {"retry-after": date})
    assert (type(found), found.retry_after) == (RateLimited, None)


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_a_page_of_something_on_the_way_is_no_capacity_either(status: int) -> None:
    found = classify(status, None, {"retry-after": "9"})
    assert type(found) is Overloaded
    assert found.retry_after == 9.0
    assert found.facts == {"http_status": status, "status": None, "reasons": []}
    assert found.why == f"HTTP {status}."


def test_the_text_alone_never_decides() -> None:
    lying = {"message": "429 RESOURCE_EXHAUSTED PerDay limit: 0, retry in 1s", "details": []}
    assert type(classify(503, lying, {})) is Overloaded
    assert type(classify(429, lying, {})) is RateLimited


def test_the_longer_of_header_and_detail_counts() -> None:
    body = {"details": [retry("5s")]}
    assert classify(429, body, {"retry-after": "9"}).retry_after == 9.0
    assert classify(429, body, {"retry-after": "soon"}).retry_after == 5.0


@pytest.mark.parametrize(
    "details",
    [
        *("x", [1, None], [{"@type": 3}], {"a": 1}, [retry("-5s")]),
        *([{"@type": RPC + "QuotaFailure", "violations": v}] for v in (7, None, [1], {"a": 1})),
    ],
)
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


# ---------------------------------------------------------------- what the user is told


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("API_KEY_INVALID", "Check the key; create one in AI Studio if it was deleted."),
        ("API_KEY_EXPIRED", "Renew the key in AI Studio."),
        (
            "API_KEY_SERVICE_BLOCKED",
            "Allow the Generative Language API in the key's restrictions.",
        ),
        ("SERVICE_DISABLED", "Enable the Generative Language API for the key's project."),
        ("API_KEY_HTTP_REFERRER_BLOCKED", "Remove the key's website restriction."),
        (
            "API_KEY_IP_ADDRESS_BLOCKED",
            "Allow this machine's address in the key's restrictions.",
        ),
    ],
)
def test_each_fault_of_a_key_has_its_remedy(reason: str, remedy: str) -> None:
    assert set(CREDENTIAL_REASONS) >= {reason}
    # whatever the status, and however it is spelled
    for status in (400, 401, 403, 404):
        found = classify(status, {"details": [info(reason.lower())]}, {})
        assert type(found) is CredentialRejected
        assert found.remedy == remedy


def test_a_fault_of_a_key_without_a_reason_has_a_general_remedy() -> None:
    for status in (401, 403):
        assert classify(status, None, {}).remedy == "Check the key and its project."
    assert type(classify(402, None, {})) is RequestRejected


def test_of_several_reasons_one_is_chosen_always() -> None:
    reasons = sorted(CREDENTIAL_REASONS)[::-1]
    found = classify(400, {"details": [info(r) for r in [*reasons, "ZZZ"]]}, {})
    assert found.remedy == CREDENTIAL_REASONS[reasons[-1]]
    assert found.facts["reasons"] == sorted([*reasons, "ZZZ"])
    assert type(classify(400, {"details": [info("AAA")]}, {})) is RequestRejected


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (400, {}, "Change the request; sending it again will not help."),
        (405, {}, "Change the request; sending it again will not help."),
        (404, {}, "Check the model id with `heliograph models`."),
        (412, {}, "Change the request; sending it again will not help."),
        (413, {}, "Send fewer or smaller reference images."),
        (414, {}, "Change the request; sending it again will not help."),
    ],
)
def test_each_rejection_has_its_remedy(status: int, error: dict[str, Any], remedy: str) -> None:
    found = classify(status, error, {})
    assert type(found) is RequestRejected
    assert found.remedy == remedy


@pytest.mark.parametrize("status", [299, 300, 302, 399])
def test_a_redirect_is_called_one(status: int) -> None:
    found = classify(status, None, {})
    assert type(found) is ProtocolError
    assert ("redirect" in found.what) == (status >= 300)
    assert (str(status) in found.what) == (status < 300)


@pytest.mark.parametrize(
    ("details", "what", "remedy"),
    [
        ([quota(DAY)], "daily quota", "midnight"),
        ([quota(MINUTE + "-FreeTier")], "no quota", "billing"),
        ([quota(DAY + "-FreeTier")], "no quota", "billing"),
    ],
)
def test_a_free_tier_and_a_day_are_told_apart(
    details: list[dict[str, Any]], what: str, remedy: str
) -> None:
    found = classify(429, {"details": details}, {})
    assert what in found.what
    assert remedy in str(found.remedy)


def test_a_wait_is_told_in_whole_seconds() -> None:
    told = classify(429, {"details": [retry("6.2s")]}, {})
    assert told.remedy == "Wait 7 seconds and try again; nothing was charged."
    untold = classify(429, None, {})
    assert untold.remedy == "Wait a little and try again; nothing was charged."


def test_googles_own_word_is_a_fact() -> None:
    found = classify(404, {"status": "NOT_FOUND", "message": "gone"}, {})
    assert found.facts == {"http_status": 404, "status": "NOT_FOUND", "reasons": []}
    assert found.why == "gone"


@pytest.mark.parametrize(("message", "why"), [(" \n ", "HTTP 400."), (7, "HTTP 400.")])
def test_a_message_that_says_nothing_is_replaced(message: object, why: str) -> None:
    assert classify(400, {"message": message}, {}).why == why


def test_a_message_is_one_line_and_not_long() -> None:
    assert classify(400, {"message": " a \n b\t c "}, {}).why == "a b c"
    assert classify(400, {"message": "é" * 601}, {}).why == "é" * 600


@pytest.mark.parametrize("key", ["AIzaSyD-canary_0123456789", "a+/b==", "%7E%2F", "".join(_KEYS)])
def test_no_part_of_a_key_is_left_where_a_message_is_cut(key: str) -> None:
    whole = f"{'é' * (599 - len(key))} {key}"
    assert classify(400, {"message": whole}, {}).why == whole
    for start in range(600 - len(key), 600):
        words = f"{'é' * (start - 1)} "
        assert classify(400, {"message": f"{words}{key} and more"}, {}).why == words.strip()
    assert classify(400, {"message": key * 600}, {}).why == "HTTP 400."


def test_details_of_another_type_say_nothing() -> None:
    other = {
        "@type": RPC + "Help",
        "reason": "CREDITS_DEPLETED",
        "retryDelay": "5s",
        "violations": [{"quotaId": DAY}],
    }
    found = classify(429, {"details": [other]}, {})
    assert type(found) is RateLimited
    assert found.retry_after is None
    assert found.facts == {"http_status": 429, "status": None, "reasons": []}


def test_details_without_their_fields_say_nothing() -> None:
    bare = [{"@type": RPC + kind} for kind in ("ErrorInfo", "RetryInfo", "QuotaFailure")]
    assert type(classify(429, {"details": bare}, {})) is RateLimited
    nameless = [{"@type": RPC + "QuotaFailure", "violations": [{}]}]
    found = classify(429, {"details": nameless}, {})
    assert (type(found), found.facts.get("quota")) == (RateLimited, None)


def test_only_a_free_tier_is_without_room() -> None:
    found = classify(429, {"details": [quota(MINUTE)]}, {})
    assert (type(found), found.facts["quota"]) == (RateLimited, "minute")
