"""Secrets that must appear nowhere: S89 to S93, S95, S98, S99."""

import base64
import inspect
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.living import read_all
from tests.server.abuse.conftest import PRO, Target
from tests.server.abuse.serving import Process

from heliograph.cli.serve import serve

CANARY = "c4n4ry-0f-7h3-upstr34m+k3y/Zq9Lw2"
PIECE = 8


def spellings(secret: str) -> Iterator[bytes]:
    """As programs write values down; base64 behind 0, 1 and 2 bytes of something else."""
    data = secret.encode()
    yield data
    yield urllib.parse.quote(secret, safe="").encode()
    yield data.hex().encode()
    for lead in range(3):
        coded = base64.b64encode(bytes(lead) + data)
        inner = coded[4 if lead else 0 : -4]
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def pieces(secret: str) -> set[bytes]:
    """Any eight characters of the secret itself, and each whole spelling of it."""
    data = secret.encode()
    found = {data[at : at + PIECE] for at in range(len(data) - PIECE + 1)}
    return found | set(spellings(secret))


def hits(text: bytes, secret: str) -> list[bytes]:
    return [piece for piece in pieces(secret) if piece in text]


def work(process: Process) -> list[bytes]:
    """A run through all faces, good requests and bad ones; everything that was answered."""
    said: list[bytes] = []

    def ask(
        method: str, path: str, body: Any = None, key: str | None = None, **headers: str
    ) -> Any:
        status, told, data = process.ask(method, path, body, key, **headers)
        said.append(json.dumps(told).encode() + data)
        assert status != 500, (path, data)
        return json.loads(data) if "json" in told.get("content-type", "") and data else data

    for fault in ("", "unauthenticated", "bad-argument", "bad-gateway", "internal", "cut_json:100"):
        words = f"a lake [[fault:{fault}]]" if fault else "a lake"
        ask("POST", "/openai/v1/images/generations", {"prompt": words, "size": "1K"})
        body = {"contents": [{"parts": [{"text": words}]}]}
        ask("POST", f"/v1beta/models/{PRO}:generateContent", body)
        ask("POST", f"/v1beta/models/{PRO}:streamGenerateContent?alt=sse", body)
        ask("POST", "/api/v1/jobs", {"prompt": words, "size": "1K"}, Prefer="wait=20")
        chat = {"model": PRO, "messages": [{"role": "user", "content": words}]}
        ask("POST", "/openai/v1/chat/completions", chat)
    for path in (
        *("/v1/models", "/openai/v1/models", "/api/v1/me", "/api/v1/jobs", "/api/v1/images"),
        *("/api/v1/keys", "/api/v1/users", "/api/v1/calls", "/api/v1/costs", "/api/v1/budgets"),
        *("/api/v1/openapi.json", "/openai/v1/openapi.json", "/metrics", "/readyz", "/nowhere"),
    ):
        ask("GET", path)
    made = ask("POST", "/api/v1/keys", {"name": "second"})
    said.pop()  # the one answer that shows a key, to whom it belongs
    ask("GET", f"/v1/models?key={made['text']}", key="")
    ask("GET", f"/nowhere/{made['text']}?key={CANARY}")
    ask("GET", "/v1/models", key=CANARY)
    ask("POST", "/api/v1/jobs", b"{", content_type="application/json")
    process.second = made["text"]  # type: ignore[attr-defined]
    return said


@pytest.fixture(scope="module")
def run(
    tmp_path_factory: pytest.TempPathFactory, emulated: str
) -> Iterator[tuple[Process, list[bytes]]]:
    home = tmp_path_factory.mktemp("secrets") / "home"
    with Process(home, emulated, CANARY, HELIOGRAPH_SERVER_USER_PER_MINUTE="100000") as process:
        said = work(process)
        process.stop()
        yield process, said


def test_s89_the_upstream_key_is_nowhere(run: tuple[Process, list[bytes]]) -> None:
    """S89: answers, metrics, errors, the log, the database and every file of the library."""
    process, said = run
    assert len(said) > 40
    for text in said:
        assert hits(text, CANARY) == [], text[:500]
    log = process.log.read_bytes()
    assert log.count(b"\n") > 40
    # what a client wrote into an address or a header is no text of a log, either
    assert hits(log, CANARY) == []
    seen = 0
    for path, data in read_all(process.home):
        seen += 1
        assert hits(data, CANARY) == [], path
    assert seen > 10
    environ = Path(f"/proc/{process.child.pid}/cmdline")
    assert not environ.exists() or hits(environ.read_bytes(), CANARY) == []


def test_s89_keys_of_users_are_nowhere(run: tuple[Process, list[bytes]]) -> None:
    """S89, S92: whoever steals the database or the whole library has no key that works."""
    process, said = run
    second: str = process.second  # type: ignore[attr-defined]
    log = process.log.read_bytes()
    for key in (process.admin, second):
        secret = key[len("helio_live_") + 8 : -6]  # without its public id and its checksum
        for text in (*said, log):
            assert hits(text, secret) == [], text[:500]
        for path, data in read_all(process.home):
            assert hits(data, secret) == [], path


def test_s92_what_signs_does_not_lie_in_the_database(run: tuple[Process, list[bytes]]) -> None:
    """S91, S92: secrets stand in a folder of their own that only its owner can read."""
    process, said = run
    folder = process.home / "server"
    names = ("pepper", "signing", "webhook")
    found = [path for path in folder.iterdir() if path.name.startswith(names)]
    assert len(found) >= 3
    log = process.log.read_bytes()
    for path in found:
        assert path.stat().st_mode & 0o077 == 0, path
        for word in path.read_text().split():
            if len(word) < 32:
                continue
            for text in (*said, log):
                assert hits(text, word) == []
            databases = [data for path, data in read_all(process.home) if ".db" in path.name]
            assert databases
            for data in databases:
                assert bytes.fromhex(word) not in data
                assert word.encode() not in data


def test_s91_no_key_is_a_word_of_a_command() -> None:
    """S91: no command of the gateway takes a key, so none stands where all processes can read."""
    assert set(inspect.signature(serve).parameters) == {"host", "port", "simulate", "json", "home"}


def test_s98_no_error_tells_of_our_insides(run: tuple[Process, list[bytes]]) -> None:
    """S97, S98: no path, statement, stack or part in anything that was answered."""
    process, said = run
    for text in said:
        low = text.lower()
        for word in (b"traceback", b"site-packages", b"select ", b"sqlite", b"/src/", b".py"):
            assert word not in low, (word, text[:300])
        assert str(process.home).encode() not in text
        for word in (b"uvicorn", b"starlette", b"fastapi", b"aiohttp"):
            assert word not in low, (word, text[:300])


# ------------------------------------------------------------ in this process


async def test_s90_an_upstream_that_repeats_our_key(house: Target) -> None:
    """S90: its words are ours to tell only without it."""
    secret = f"emu-project-{house.project}"
    status = {"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": f"bad key {secret}"}}
    rule = {
        "match": {"project": house.project},
        "action": "body",
        "args": {"raw": json.dumps(status), "status": 400},
    }
    async with house.http.post(f"{house.upstream}/_emulator/rules", json=[rule]) as answer:
        assert answer.status == 200, await answer.text()
    told = []
    for path, body in (
        ("/openai/v1/images/generations", {"prompt": "a", "size": "1K"}),
        (f"/v1beta/models/{PRO}:generateContent", {"contents": [{"parts": [{"text": "a"}]}]}),
        ("/api/v1/jobs", {"prompt": "a b", "size": "1K"}),
    ):
        found = await house.send("anna", "POST", path, json=body, headers={"prefer": "wait=20"})
        told.append(found.body)
        assert found.status >= 400 or found.json["state"] == "failed", found.body
        assert secret.encode() not in found.body, path
    assert secret not in house.log.getvalue()
    jobs = await house.send("anna", "GET", "/api/v1/jobs")
    assert secret.encode() not in jobs.body


async def test_s93_a_field_stays_in_its_line(house: Target) -> None:
    """S93: escape codes and line ends in whatever a client can name."""
    odd = "a%1b%5b31m%0a%7b%22level%22:%22forged%22%7d"
    await house.send("anna", "GET", f"/nowhere/{odd}")
    await house.send("anna", "GET", f"/v1/models?x={odd}")
    head = b"GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    await house.raw(head + b"User-Agent: \x1b[31mred\r\nReferer: \xe2\x80\xa8\x9b31m\r\n\r\n")
    for field in ("model", "user"):
        body = {"prompt": "a", "size": "1K", field: '\x1b[31m\n{"level": "forged"}\u2028'}
        await house.send("anna", "POST", "/openai/v1/images/generations", json=body)
    log = house.log.getvalue()
    assert "\x1b" not in log
    assert "\u2028" not in log
    for line in log.splitlines():
        assert json.loads(line).get("level") != "forged"


async def test_s99_faults_of_the_emulator_are_no_headers_of_ours(house: Target) -> None:
    """S99: `x-emu-fault` of a client ends here; there is no route of the emulator."""
    for path in ("/_emulator/ledger", "/_emulator/rules", "/_emulator/reset", "/_emulator"):
        for method in ("GET", "POST"):
            assert (await house.send(None, method, path)).status == 401
            assert (await house.send("root", method, path)).status == 404
    for fault in ("status:503", "refuse", "image:1K", "cut_json:10"):
        body = {"prompt": f"a {fault.replace(':', ' ')}", "size": "1K"}
        headers = {"x-emu-fault": fault, "prefer": "wait=30"}
        answer = await house.send("anna", "POST", "/api/v1/jobs", json=body, headers=headers)
        assert answer.status == 200, answer.body
        assert answer.json["state"] == "done"
    assert len(await house.bill()) == 4
