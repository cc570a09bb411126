"""One emulator process for all, a project of its own for each test, a library of its own too."""

import asyncio
import io
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.e2e.saying import Said, Say

from heliograph import AsyncHeliograph
from heliograph.cli import build_app
from heliograph.cli.edge import run
from heliograph.ports import Event
from heliograph.storage import open_storage

SETTLING = 60.0  # seconds an emulator may take to close a ledger entry after its last byte


@pytest.fixture(scope="session")
def blank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty library, migrated once: making a new database takes half a second each time."""
    folder = tmp_path_factory.mktemp("blank") / "library"
    asyncio.run(open_storage(folder).close())
    return folder


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, blank: Path) -> None:
    """No key, no settings and no .env of the person who runs the tests."""
    shutil.copytree(blank, tmp_path / "library")
    for name in list(os.environ):
        if name.startswith(("HELIOGRAPH_", "GEMINI_", "GOOGLE_")):
            monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HELIOGRAPH_HOME", str(tmp_path / "library"))


class Bill:
    """One project's part of the emulator's own ledger, read from its file."""

    def __init__(self, path: Path, project: str, url: str | None = None) -> None:
        self._path = path
        self._project = project
        self._url = url  # None: an emulator of the client's own

    @property
    def lines(self) -> list[dict[str, Any]]:
        """One entry a call, once all of them are closed."""
        end = time.monotonic() + SETTLING
        while True:
            calls: dict[str, dict[str, Any]] = {}
            for line in self._path.read_text().splitlines() if self._path.exists() else []:
                entry = json.loads(line)
                if entry["project"] == self._project:
                    calls[entry["call"]] = entry
            if calls and all(c["state"] == "closed" for c in calls.values()):
                return list(calls.values())
            if not calls and self._was_never_called():
                return []
            if time.monotonic() > end:
                return list(calls.values())
            time.sleep(0.02)

    def _was_never_called(self) -> bool:
        """The emulator itself says so, twice: it answers in the order in which it is asked."""
        if self._url is None:
            return False
        for _ in range(2):
            time.sleep(0.05)
            with urlopen(f"{self._url}/_emulator/ledger?project={self._project}") as answer:  # noqa: S310
                if json.load(answer):
                    return False
        return True

    @property
    def micro(self) -> int:
        return sum(int(line["billed_micro"]) for line in self.lines)

    def image(self, role: str = "final") -> dict[str, Any]:
        """The last emitted image of a role."""
        found = [i for line in self.lines for i in line["images"] if i["role"] == role]
        last: dict[str, Any] = found[-1]
        return last


class Emulated:
    """A running emulator process."""

    def __init__(self, folder: Path) -> None:
        self.ledger = folder / "ledger.jsonl"
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "heliograph.emulator",
                "--small",
                "--exit-with-stdin",
                "--ledger",
                str(self.ledger),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.url: str = json.loads(self._process.stdout.readline())["url"]

    def close(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="session")
def emulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulated]:
    emulator = Emulated(tmp_path_factory.mktemp("emulator"))
    yield emulator
    emulator.close()


@pytest.fixture
def project() -> str:
    return uuid.uuid4().hex


@pytest.fixture
def bill(emulated: Emulated, project: str) -> Bill:
    return Bill(emulated.ledger, project, emulated.url)


@pytest.fixture
def own_bill(tmp_path: Path) -> Bill:
    """The ledger of an emulator that the client starts by itself."""
    return Bill(tmp_path / "library" / "emulator" / "ledger.jsonl", "default")


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
async def helio(
    emulated: Emulated, project: str, events: list[Event]
) -> AsyncIterator[AsyncHeliograph]:
    """A client on the emulator, with a key of this test's own project."""
    async with AsyncHeliograph(
        base_url=emulated.url, api_key=f"emu-project-{project}", observer=events.append
    ) as client:
        yield client


@pytest.fixture
def say(
    emulated: Emulated,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Run a command in this process, on the emulator, with a key of this test's own project."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", emulated.url)
    monkeypatch.setenv("GEMINI_API_KEY", f"emu-project-{project}")

    def call(*words: str, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsys.readouterr()
        code = run(build_app(), list(words))
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return call
