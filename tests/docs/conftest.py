"""One emulator for all pages; a folder and a library of its own for each."""

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.docs.fenced import Session


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The base URL of an emulator."""
    command = [sys.executable, "-m", "heliograph.emulator", "--small", "--exit-with-stdin"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())["url"]
        process.communicate(timeout=60)


@pytest.fixture
def session(tmp_path: Path, emulator: str) -> Iterator[Session]:
    work = tmp_path / "work"
    work.mkdir()
    (tmp_path / "config.toml").touch()
    private = ("HELIOGRAPH_", "GEMINI_", "GOOGLE_")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(private)},
        "PATH": os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]),
        "HELIOGRAPH_SIMULATE": "1",
        "HELIOGRAPH_BASE_URL": emulator,
        "HELIOGRAPH_HOME": str(tmp_path / "library"),
        "HELIOGRAPH_CONFIG": str(tmp_path / "config.toml"),
        "COLUMNS": "200",
    }
    session = Session(work, environment, emulator)
    yield session
    session.close()
