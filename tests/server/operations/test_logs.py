"""No secret survives a log line, in any of its spellings; no field can break out of its line."""

import base64
import io
import json
import logging
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.types import Message

from heliograph.accounts import new_key
from heliograph.errors import InvalidRequest, Problem, StorageError
from heliograph.server.logs import (
    UNMATCHED,
    JsonLines,
    RequestWatch,
    Served,
    log_request,
    stop_logs,
    write_logs,
)
from heliograph.server.redaction import PIECE, REDACTED, Redactor

CANARY = "c4n4ry-0f-7h3-pr0v1d3r/k3y+Zq9"
SPELLINGS: dict[str, Callable[[str], str]] = {
    "raw": lambda s: s,
    "url": lambda s: urllib.parse.quote(s, safe=""),
    "url plus": urllib.parse.quote_plus,
    "url, every character": lambda s: "".join(f"%{b:02x}" for b in s.encode()),
    "url twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "json": lambda s: json.dumps(s)[1:-1],
    "json escapes": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "repr": lambda s: repr(s)[1:-1],
    "hex": lambda s: s.encode().hex(),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 behind a user": lambda s: base64.b64encode(b"u:" + s.encode() + b"!").decode(),
    "base64 behind a name": lambda s: base64.b64encode(b"x" + s.encode()).decode(),
    "base64 for addresses": lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    "base64 in an address": lambda s: urllib.parse.quote(base64.b64encode(s.encode()).decode()),
}
around = st.text(st.characters(codec="ascii"), max_size=20)


def _pieces(spelled: str) -> set[str]:
    # base64 mixes the first and last letters of a secret with what stands around it
    inner = spelled[2:-4]
    return {inner[at : at + PIECE] for at in range(len(inner) - PIECE + 1)}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=16, max_size=60),
    before=around,
    after=around,
)
def test_no_spelling_of_a_secret_survives(
    spelling: str, secret: str, before: str, after: str
) -> None:
    spelled = SPELLINGS[spelling](secret)
    text = f"{before} {spelled} {after}"
    cleaned = Redactor([secret]).clean(text)
    left = cleaned.replace(REDACTED, "\0")
    around_it = f"{before} \0 {after}"
    for piece in _pieces(spelled):
        assert piece not in left or piece in around_it
    assert REDACTED in cleaned


@given(cut=st.integers(0, len(CANARY) - PIECE), length=st.integers(PIECE, len(CANARY)))
def test_a_part_of_a_secret_is_one(cut: int, length: int) -> None:
    part = CANARY[cut : cut + length]
    assume(len(part) >= PIECE)
    assert Redactor([CANARY]).clean(f"got {part!s}, sorry") == f"got {REDACTED}, sorry"


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("Authorization: Bearer abc.def-123", "abc.def-123"),
        ("{'x-goog-api-key': 'some words key'}", "some"),
        ('{"x-api-key":"v4lue"}', "v4lue"),
        ("(b'api-key', b'v4lue')", "v4lue"),
        ("Cookie: a=1; session=2", "session=2"),
        ("proxy-authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("POST /v1beta/models/m:generateContent?key=v4lue&alt=sse", "v4lue"),
        ("GET /pictures/1?exp=9&sig=v4lue HTTP", "v4lue"),
        ("postgresql://helio:hunter2@db/helio", "hunter2"),
        ("it said AIzaSyD-1234567890abcdefghij is bad", "AIzaSyD-1234567890abcdefghij"),
        ("AQ.Ab8RN6Jabcdefghij", "AQ.Ab8RN6Jabcdefghij"),
        ("sk-proj-abcdef123456", "sk-proj-abcdef123456"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
        (
            "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.SflKxwRJSMeKKF2QT4",
            "SflKxwRJSMeKKF2QT4",
        ),
        ("-----BEGIN PRIVATE KEY-----\nMIIEv\n-----END PRIVATE KEY-----", "MIIEv"),
        ("-----BEGIN EC PRIVATE KEY-----\nMIIEv cut", "MIIEv"),
        ("%41IzaSyD-1234567890abcdefghij", "IzaSyD-1234567890abcdefghij"),
    ],
)
def test_credentials_of_others_are_known_by_their_looks(text: str, secret: str) -> None:
    cleaned = Redactor().clean(text)
    assert secret not in cleaned
    assert REDACTED in cleaned


def test_our_own_keys_are_known_by_their_looks() -> None:
    key = new_key()
    assert Redactor().clean(f"with {key}.") == f"with {REDACTED}."


@given(st.text(max_size=80))
def test_text_without_secrets_stays(text: str) -> None:
    assume(not any(mark in text.lower() for mark in ("://", "key", "cookie", "sig", "token")))
    assert Redactor([CANARY]).clean(text) == text


def test_a_short_secret_counts_where_it_stands_alone() -> None:
    redactor = Redactor(["fishy", "any"])
    assert redactor.clean("fishy fishyness of any kind") == f"{REDACTED} fishyness of any kind"


def test_later_secrets_count_too() -> None:
    redactor = Redactor()
    redactor.add(CANARY)
    assert CANARY not in redactor.clean(CANARY)


# ------------------------------------------------------------ lines


@pytest.fixture
def logged() -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """What was logged since the test began."""
    stream = io.StringIO()
    handler = write_logs(Redactor([CANARY]), stream=stream)
    before = logging.getLogger().level

    def lines() -> list[dict[str, Any]]:
        assert CANARY not in stream.getvalue()
        return [json.loads(line) for line in stream.getvalue().splitlines()]

    yield lines
    stop_logs(handler)
    logging.getLogger().setLevel(before)


@given(text=st.text())
def test_a_field_stays_in_its_line(text: str) -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%s", (text,), None)
    record.__dict__.update(request=text, route=text)
    line = JsonLines(Redactor()).format(record)
    assert line.isascii()
    assert line.isprintable()
    assert set(json.loads(line)) == {"time", "level", "logger", "message", "request", "route"}


def test_what_is_not_listed_is_not_logged(logged: Callable[[], list[dict[str, Any]]]) -> None:
    extra = {"prompt": "a secret plan", "headers": {"a": "b"}, "job": "4f2a"}
    logging.getLogger("heliograph.server").info("hello", extra=extra)
    line = logged()[0]
    assert line["job"] == "4f2a"
    assert line["message"] == "hello"
    assert not {"prompt", "headers"} & set(line)


def _keep_nothing() -> None:
    try:
        int("the prompt was: a fox in a hat")
    except ValueError as error:
        raise StorageError(f"Nothing kept with {CANARY}.") from error


def test_an_exception_says_where_and_never_a_prompt(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    logger = logging.getLogger("heliograph.server")
    try:
        _keep_nothing()
    except StorageError:
        logger.exception("failed")
    error = InvalidRequest([Problem(field="prompt", value="a fox in a hat", message="bad")])
    logger.error("failed", exc_info=error)
    text = json.dumps(logged())
    assert "fox" not in text
    words = logged()[0]["exception"]
    assert words[0].startswith(f"StorageError: Nothing kept with {REDACTED}")
    assert "_keep_nothing" in words[0]
    assert words[1].startswith("ValueError at ")


def test_arguments_that_do_not_fit_take_no_line_away() -> None:
    record = logging.LogRecord("n", logging.INFO, "f", 1, "%d calls", ("many",), None)
    assert json.loads(JsonLines(Redactor()).format(record))["message"] == "%d calls"


# ------------------------------------------------------------ requests


async def _ok(request: Request) -> Response:
    return PlainTextResponse(
        "ok", headers={"x-heliograph-job": "4f2a", "x-heliograph-cost-usd": "0.24"}
    )


async def _fails(request: Request) -> Response:
    raise ValueError("a fox")


APP = Starlette(
    routes=[
        Route("/healthz", _ok),
        Route("/v1beta/models/{model}:generateContent", _ok, methods=["POST"]),
        Mount("/api/v1", Starlette(routes=[Route("/images/{id}", _ok), Route("/bad", _fails)])),
    ]
)


async def _ask(method: str, path: str, *, drop: bool = False) -> tuple[list[Served], list[Message]]:
    served: list[Served] = []
    sent: list[Message] = []
    watch = RequestWatch(APP, sinks=[served.append, log_request])

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        if drop:
            raise OSError("the client has left")
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"key=" + CANARY.encode(),
        "headers": [(b"x-request-id", b"evil\nline")],
        "client": ("192.0.2.7", 4000),
        "root_path": "",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "http_version": "1.1",
    }
    try:
        await watch(scope, receive, send)
    except (OSError, ValueError):
        return served, sent
    return served, sent


async def test_one_line_a_request_with_its_template(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    served, sent = await _ask("POST", "/v1beta/models/nano:generateContent")
    (line,) = logged()
    assert line["route"] == "/v1beta/models/{model}:generateContent"
    assert (line["status"], line["job"], line["cost_micro"]) == (200, "4f2a", 240000)
    assert line["address"] == "192.0.2.7"
    assert served[0].face == "gemini"
    head = dict(sent[0]["headers"])
    assert head[b"x-request-id"].decode() == line["request"]


async def test_mounted_routes_have_whole_templates() -> None:
    served, _ = await _ask("GET", "/api/v1/images/77")
    assert (served[0].route, served[0].face) == ("/api/v1/images/{id}", "native")


@pytest.mark.parametrize("path", ["/nowhere/\x1b[31m", "/api/v1/nowhere", "/api/v2"])
async def test_a_path_that_nobody_knows_is_no_label(path: str) -> None:
    served, _ = await _ask("GET", path)
    assert (served[0].route, served[0].status) == (UNMATCHED, 404)


async def test_methods_cannot_be_made_up() -> None:
    served, _ = await _ask("FOO\r\nBAR", "/healthz")
    assert served[0].method == "OTHER"


async def test_probes_that_succeed_are_not_logged(
    logged: Callable[[], list[dict[str, Any]]],
) -> None:
    served, _ = await _ask("GET", "/healthz")
    assert served
    assert not logged()


async def test_a_client_that_left_and_a_fault_of_ours_are_told() -> None:
    left, _ = await _ask("GET", "/api/v1/images/77", drop=True)
    assert left[0].status in (200, 499)
    failed, _ = await _ask("GET", "/api/v1/bad")
    assert failed[0].route == "/api/v1/bad"
    assert failed[0].status == 500
