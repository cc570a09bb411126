"""`python -m heliograph.emulator` as another program sees it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

Spawn = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]

GUARD = 60  # seconds after which something that hangs is given up
EMULATOR = ("-m", "heliograph.emulator")
PAINTS_LONG = """
import os, time
from heliograph.emulator import __main__ as program, generating

def paint(*_):
    os.write(1, b"painting\\n")  # in one piece: four of them say so at once
    time.sleep(3600)

generating.paint_scene = paint
program._leave(program.main())
"""


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a process and read its first line; whatever still runs at the end is stopped."""
    started: list[subprocess.Popen[str]] = []

    def start(
        *arguments: str, program: tuple[str, str] = EMULATOR
    ) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        process = subprocess.Popen(
            [sys.executable, *program, "--small", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # glibc learns to keep large blocks for itself, and then nobody can see what is held
            env={**os.environ, "MALLOC_MMAP_THRESHOLD_": str(1 << 20)},
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline() or "{}")

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=GUARD)
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def ask(url: str, prompt: str = "a lake") -> int:
    body = json.dumps({"contents": [{"parts": [{"text": prompt}]}]}).encode()
    request = urllib.request.Request(  # noqa: S310 - our own loopback server
        url + "/v1/models/gemini-3-pro-image:generateContent",
        data=body,
        headers={"x-goog-api-key": "k", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=GUARD) as response:  # noqa: S310
        response.read()
        return int(response.status)


def begin(url: str, **top: Any) -> socket.socket:
    """Send a call and leave its answer unread."""
    address = urlsplit(url)
    assert address.port is not None
    wire = socket.create_connection(("127.0.0.1", address.port))
    body = json.dumps({"contents": [{"parts": [{"text": "a lake"}]}], **top}).encode()
    head = (
        "POST /v1/models/gemini-3-pro-image:generateContent HTTP/1.1\r\nHost: x\r\n"
        f"x-goog-api-key: k\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    wire.sendall(head.encode() + body)
    return wire


def calls(url: str) -> list[dict[str, Any]]:
    with urllib.request.urlopen(url + "/_emulator/ledger", timeout=GUARD) as response:  # noqa: S310
        rows: list[dict[str, Any]] = json.load(response)
        return rows


def waiting(url: str) -> int:
    """How many open calls have an answer that waits for its peer."""
    return sum(row["state"] == "open" and row["first_byte"] is not None for row in calls(url))


def wait_for(is_so: Callable[[], bool]) -> None:
    """Until something is so; fails after so long that it never will be."""
    end = time.monotonic() + GUARD
    while not is_so():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)


def wait_for_all_closed(url: str) -> None:
    """Wait until no call is open."""
    wait_for(
        lambda: all(row["state"] == "closed" and row["peer_closed_early"] for row in calls(url))
    )


def test_it_announces_itself_serves_and_keeps_a_ledger(spawn: Spawn, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    process, line = spawn("--ledger", str(ledger), "--seed", "5")
    assert line["event"] == "listening"
    assert line["url"].startswith("http://127.0.0.1:")
    assert (line["ledger"], line["pid"], line["seed"]) == (str(ledger), process.pid, 5)
    assert ask(line["url"]) == 200
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=GUARD)
    assert (process.returncode, errors) == (0, "")
    (kept,) = [json.loads(text) for text in ledger.read_text().splitlines()]
    assert kept["billed_micro"] > 134_400


def test_it_continues_its_ledger_without_repeating_an_id(spawn: Spawn, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for _ in range(2):
        process, line = spawn("--ledger", str(ledger), "--seed", "5", "--exit-with-stdin")
        ask(line["url"])
        process.communicate(timeout=GUARD)
    calls = [json.loads(text)["call"] for text in ledger.read_text().splitlines()]
    assert len(set(calls)) == 2


def test_it_ends_with_its_parents_stdin(spawn: Spawn) -> None:
    process, _ = spawn("--exit-with-stdin")
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=GUARD) == 0


def test_it_ends_whatever_is_in_flight(spawn: Spawn, tmp_path: Path) -> None:
    """Eight pictures: four being painted, for an hour each, four waiting; none holds the exit."""
    ledger = tmp_path / "ledger.jsonl"
    process, line = spawn("--exit-with-stdin", "--ledger", str(ledger), program=("-c", PAINTS_LONG))
    wires = [begin(line["url"]) for _ in range(8)]
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(4)] == ["painting\n"] * 4
    wait_for(lambda: [row["request_read"] is not None for row in calls(line["url"])] == [True] * 8)
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=GUARD) == 0
    for wire in wires:
        wire.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    kept = [json.loads(text) for text in ledger.read_text().splitlines()]
    assert [(row["state"], row["billed"]) for row in kept] == [("closed", False)] * 8


def test_sixteen_answers_of_30_mb_at_once_stay_bounded(spawn: Spawn) -> None:
    """Plain pictures but full signatures: the weight of 4K without the time to paint it."""
    process, line = spawn("--exit-with-stdin", "--signatures", "realistic")
    memory = psutil.Process(process.pid)
    before = memory.memory_info().rss
    # Nobody reads: every answer is finished and held for its slow peer.
    config = {"imageConfig": {"imageSize": "4K"}}
    wires = [begin(line["url"], generationConfig=config) for _ in range(16)]
    peak = 0

    def all_wait() -> bool:
        nonlocal peak
        peak = max(peak, memory.memory_info().rss)
        return waiting(line["url"]) == 16

    wait_for(all_wait)
    held = memory.memory_info().rss - before
    assert 200_000_000 < held < 16 * 35_000_000
    assert peak - before < 16 * 35_000_000 + 200_000_000
    for wire in wires:
        wire.close()
    wait_for_all_closed(line["url"])
    # the memory goes back to the system a moment after the last peer has left
    wait_for(lambda: memory.memory_info().rss - before < held / 2)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [(("--port", "70000"), "not a port"), (("--ledger", "."), "cannot keep a ledger")],
)
def test_it_says_why_it_cannot_start(spawn: Spawn, arguments: tuple[str, str], why: str) -> None:
    process, line = spawn(*arguments)
    _, errors = process.communicate(timeout=GUARD)
    assert (line, process.returncode) == ({}, 2)
    assert why in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "::"])
def test_it_refuses_to_leave_loopback(spawn: Spawn, host: str) -> None:
    process, line = spawn("--host", host)
    _, errors = process.communicate(timeout=GUARD)
    assert (line, process.returncode) == ({}, 2)
    assert "loopback" in errors
    assert "Traceback" not in errors


def test_it_says_what_is_wrong_with_its_rules(spawn: Spawn, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('[{"action": "no-such-fault"}]')
    process, _ = spawn("--rules", str(rules))
    _, errors = process.communicate(timeout=GUARD)
    assert process.returncode == 2
    assert "no-such-fault" in errors
    assert "Traceback" not in errors


def test_rules_from_a_file_strike(spawn: Spawn, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('{"action": "internal", "count": 1}')
    _, line = spawn("--rules", str(rules))
    with pytest.raises(urllib.error.HTTPError, match="500"):
        ask(line["url"])
    assert ask(line["url"]) == 200


def test_importing_it_is_cheap_and_alone() -> None:
    code = (
        "import sys, heliograph.emulator\n"
        "heavy = {'aiohttp', 'pyvips', 'pydantic'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_it_shares_nothing_with_the_client_side() -> None:
    code = (
        "import sys, heliograph.emulator.serving, heliograph.emulator.painting\n"
        "import heliograph.emulator.__main__\n"
        "ours = {n for n in sys.modules if n.startswith('heliograph.')}\n"
        "print(*sorted(n for n in ours if not n.startswith('heliograph.emulator')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
