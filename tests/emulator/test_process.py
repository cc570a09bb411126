"""`python -m heliograph.emulator` as another program sees it."""

import json
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Spawn = Callable[..., tuple[subprocess.Popen[str], dict[str, Any]]]


@pytest.fixture
def spawn() -> Iterator[Spawn]:
    """Start a process and read its first line; whatever still runs at the end is stopped."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> tuple[subprocess.Popen[str], dict[str, Any]]:
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph.emulator", "--small", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        return process, json.loads(process.stdout.readline() or "{}")

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)
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
    with urllib.request.urlopen(request, timeout=20) as response:  # noqa: S310
        response.read()
        return int(response.status)


def test_it_announces_itself_serves_and_keeps_a_ledger(spawn: Spawn, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    process, line = spawn("--ledger", str(ledger), "--seed", "5")
    assert line["event"] == "listening"
    assert line["url"].startswith("http://127.0.0.1:")
    assert (line["ledger"], line["pid"], line["seed"]) == (str(ledger), process.pid, 5)
    assert ask(line["url"]) == 200
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=5)
    assert (process.returncode, errors) == (0, "")
    (kept,) = [json.loads(text) for text in ledger.read_text().splitlines()]
    assert kept["billed_micro"] > 134_400


def test_it_continues_its_ledger_without_repeating_an_id(spawn: Spawn, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    for _ in range(2):
        process, line = spawn("--ledger", str(ledger), "--seed", "5", "--exit-with-stdin")
        ask(line["url"])
        process.communicate(timeout=5)
    calls = [json.loads(text)["call"] for text in ledger.read_text().splitlines()]
    assert len(set(calls)) == 2


def test_it_ends_with_its_parents_stdin(spawn: Spawn) -> None:
    process, _ = spawn("--exit-with-stdin")
    assert process.poll() is None
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait(timeout=5) == 0


@pytest.mark.parametrize("host", ["192.0.2.1", "example.org", "::"])
def test_it_refuses_to_leave_loopback(spawn: Spawn, host: str) -> None:
    process, line = spawn("--host", host)
    _, errors = process.communicate(timeout=5)
    assert (line, process.returncode) == ({}, 2)
    assert "loopback" in errors
    assert "Traceback" not in errors


def test_it_says_what_is_wrong_with_its_rules(spawn: Spawn, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text('[{"action": "no-such-fault"}]')
    process, _ = spawn("--rules", str(rules))
    _, errors = process.communicate(timeout=5)
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
