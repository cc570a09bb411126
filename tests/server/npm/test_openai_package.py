"""OpenAI's own npm package against a gateway process; `make npm` installs it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[2] / "npm"
NODE = shutil.which("node")
STOP_SECONDS = 60

# the check must run where there is only Python and make; `make npm` brings what this needs
pytestmark = [
    pytest.mark.skipif(NODE is None, reason="Node.js is not installed"),
    pytest.mark.skipif(
        not (FOLDER / "node_modules" / "openai").exists(),
        reason="the npm package is not installed: make npm",
    ),
]


@pytest.fixture
def bill(tmp_path: Path) -> Path:
    """Where the emulator writes what it billed."""
    return tmp_path / "bill.jsonl"


@pytest.fixture
def upstream(bill: Path) -> Iterator[str]:
    """An emulator of its own, with its bill."""
    words = ["--small", "--exit-with-stdin", "--ledger", str(bill)]
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph.emulator", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())["url"]
    process.communicate(timeout=STOP_SECONDS)


def _environment(**own: str) -> dict[str, str]:
    foreign = ("HELIOGRAPH_", "OPENAI_", "GEMINI_", "GOOGLE_")
    return {k: v for k, v in os.environ.items() if not k.startswith(foreign)} | own


@pytest.fixture
def gateway(tmp_path: Path, upstream: str) -> Iterator[dict[str, Any]]:
    """What a gateway process says of itself once it listens."""
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph", "serve", "--port", "0", "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=_environment(
            HELIOGRAPH_HOME=str(tmp_path / "library"),
            HELIOGRAPH_BASE_URL=upstream,
            GEMINI_API_KEY="emu-project-npm",
        ),
    )
    assert process.stdout is not None
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=STOP_SECONDS)


def _billed(bill: Path) -> int:
    """Micro-dollars of all calls, each by its last line."""
    calls = {line["call"]: line for line in map(json.loads, bill.read_text().splitlines())}
    return sum(line["billed_micro"] for line in calls.values())


@pytest.mark.timeout(180)
def test_everything_that_the_package_does(
    gateway: dict[str, Any], bill: Path, tmp_path: Path
) -> None:
    assert NODE is not None
    said = subprocess.run(
        [NODE, str(FOLDER / "gateway.mjs")],
        env=_environment(HELIOGRAPH_URL=gateway["url"], HELIOGRAPH_KEY=gateway["admin_key"]),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    assert said.returncode == 0, said.stdout + said.stderr
    checks = said.stdout.splitlines()
    assert len(checks) == 10
    assert all(line.startswith("ok ") for line in checks)
    # one bill for everything, also for what was dropped and asked for again
    assert _recorded(tmp_path / "library") == _billed(bill) > 0


def _recorded(home: Path) -> int:
    """Micro-dollars of everything in the library, by its own command."""
    words = ["-m", "heliograph", "images", "list", "--limit", "100", "--json"]
    listed = subprocess.run(
        [sys.executable, *words, "--home", str(home)],
        env=_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return sum(image["cost_micro"] for image in json.loads(listed.stdout))
