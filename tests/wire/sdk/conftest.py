"""The emulator as a process of its own, and unmodified google-genai clients that speak to it."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from google import genai
from google.genai import types

Clients = Callable[..., genai.Client]


@contextmanager
def emulator(*arguments: str) -> Iterator[str]:
    """A running emulator; it ends with our end of its standard input."""
    process = subprocess.Popen(
        [sys.executable, "-m", "heliograph.emulator", "--exit-with-stdin", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"]
    finally:
        process.stdin.close()
        assert process.wait(timeout=60) == 0
        process.stdout.close()


@pytest.fixture(scope="session")
def url() -> Iterator[str]:
    """One emulator with small pictures for the whole run."""
    with emulator("--small", "--seed", "11") as url:
        yield url


@pytest.fixture(scope="session")
def full_size_url() -> Iterator[str]:
    """One emulator with true pictures and signatures of millions of characters."""
    with emulator("--seed", "11") as url:
        yield url


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reads its key from our arguments alone."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_HTTP_CLIENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clients(url: str) -> Iterator[Clients]:
    """Make clients that are closed at the end."""
    with ExitStack() as stack:

        def make(key: str = "k", base_url: str = url, **options: Any) -> genai.Client:
            client = genai.Client(
                api_key=key, http_options=types.HttpOptions(base_url=base_url, **options)
            )
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(clients: Clients) -> genai.Client:
    """The usual client, everything at its default."""
    return clients()
