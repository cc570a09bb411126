"""Messages are taken when they are genuine, new and of now, and have one effect (S73)."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks.webhooks import Webhook as Judge
from standardwebhooks.webhooks import WebhookVerificationError

from heliograph.errors import ConfigurationError
from heliograph.server.webhooks.signing import (
    TOLERANCE,
    Forged,
    Memory,
    secret_of,
    signed_headers,
    verify,
)

SECRET = secret_of(b"r" * 32, "w1")
NOW = 1_800_000_000
BODY = json.dumps({"type": "job.done", "data": {}}).encode()
HEADERS = signed_headers(SECRET, "evt_1", BODY, NOW)


@given(st.dictionaries(st.text(max_size=9), st.text(max_size=9)))
def test_the_judge_takes_what_is_signed_here(payload: dict[str, str]) -> None:
    body = json.dumps(payload).encode()
    at = int(datetime.now(UTC).timestamp())
    assert Judge(SECRET).verify(body, signed_headers(SECRET, "evt_1", body, at)) == payload


def test_what_the_judge_signs_is_taken_here() -> None:
    at = datetime.fromtimestamp(NOW, UTC)
    tag = Judge(SECRET).sign("evt_9", at, BODY.decode())
    old = "v1," + base64.b64encode(bytes(32)).decode()
    headers = {
        "Webhook-Id": "evt_9",
        "Webhook-Timestamp": str(NOW),
        "Webhook-Signature": f"{old} {tag}",
    }
    received = verify(headers, BODY, SECRET, memory=Memory(), now=NOW)
    assert (received.id, received.payload["type"], received.is_repeat) == (
        "evt_9",
        "job.done",
        False,
    )


def test_a_repeated_event_has_one_effect_and_a_replayed_message_none() -> None:
    memory = Memory()
    assert not verify(HEADERS, BODY, SECRET, memory=memory, now=NOW).is_repeat
    with pytest.raises(Forged) as caught:
        verify(HEADERS, BODY, SECRET, memory=memory, now=NOW + 1)
    assert caught.value.status == 401
    later = signed_headers(SECRET, "evt_1", BODY, NOW + 60)
    assert verify(later, BODY, SECRET, memory=memory, now=NOW + 60).is_repeat


@pytest.mark.parametrize("seconds", [-TOLERANCE - 1, TOLERANCE + 1, -(10**6), 10**6])
def test_what_is_not_of_now(seconds: float) -> None:
    with pytest.raises(Forged):
        verify(HEADERS, BODY, SECRET, memory=Memory(), now=NOW + seconds)
    received = verify(HEADERS, BODY, SECRET, memory=Memory(), now=NOW + TOLERANCE)
    assert received.id == "evt_1"


@given(
    st.sampled_from(("webhook-id", "webhook-timestamp", "webhook-signature", "body")),
    st.integers(0, 200),
    st.characters(codec="utf-8", exclude_characters=" "),
)
def test_any_one_character_changed(part: str, place: int, letter: str) -> None:
    told = HEADERS | {"body": BODY.decode()}
    text = told[part]
    at = place % len(text)
    changed = text[:at] + letter + text[at + 1 :]
    if changed == text:
        return
    headers = HEADERS | ({part: changed} if part != "body" else {})
    body = changed.encode() if part == "body" else BODY
    with pytest.raises(Forged):
        verify(headers, body, SECRET, memory=Memory(), now=NOW)
    with pytest.raises((WebhookVerificationError, ValueError)):
        Judge(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_AA==", "whsec_\x00", "whsec_é", "nonsense"]
)
def test_an_empty_or_broken_secret_proves_nothing(secret: str) -> None:
    with pytest.raises(Forged):
        verify(HEADERS, BODY, secret, memory=Memory(), now=NOW)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_header_that_is_missing(name: str) -> None:
    headers = {n: v for n, v in HEADERS.items() if n != name}
    with pytest.raises(Forged):
        verify(headers, BODY, SECRET, memory=Memory(), now=NOW)


@pytest.mark.parametrize("body", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_what_is_signed_but_no_event(body: bytes) -> None:
    headers = signed_headers(SECRET, "evt_1", body, NOW)
    with pytest.raises(Forged):
        verify(headers, body, SECRET, memory=Memory(), now=NOW)


def test_a_refused_message_is_not_remembered() -> None:
    memory = Memory()
    with pytest.raises(Forged):
        verify(HEADERS | {"webhook-signature": "v1,x"}, BODY, SECRET, memory=memory, now=NOW)
    assert verify(HEADERS, BODY, SECRET, memory=memory, now=NOW).id == "evt_1"


def test_a_memory_is_bounded() -> None:
    memory = Memory(most=3)
    assert not any(memory.has_event(str(n)) for n in range(10))
    assert memory.has_event("9")
    assert not memory.has_event("0")


def test_secrets_are_derived_and_need_a_root() -> None:
    assert secret_of(b"r" * 32, "w1") == SECRET
    assert len({secret_of(b"r" * 32, "w2"), secret_of(b"s" * 32, "w1"), SECRET}) == 3
    for root in (b"", b"short"):
        with pytest.raises(ConfigurationError):
            secret_of(root, "w1")
