"""A gateway and an emulator as processes, unmodified google-genai clients, and plain HTTP."""

import base64
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai import types
from PIL import Image

PRO = "gemini-3-pro-image"
Clients = Callable[..., genai.Client]


@contextmanager
def process(*words: str) -> Iterator[str]:
    """A process that prints one line first, and ends with its standard input."""
    child = subprocess.Popen(
        [sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        yield child.stdout.readline().strip()
    finally:
        child.stdin.close()
        code = child.wait(timeout=60)
        child.stdout.close()
    assert code == 0


@dataclass(frozen=True, kw_only=True)
class Gateway:
    """A running one."""

    url: str
    upstream: str
    home: Path
    keys: dict[str, str]  # text of a key by the name of its user

    def bill(self) -> list[dict[str, Any]]:
        """What the emulator charged for."""
        lines: list[dict[str, Any]] = (
            Plain(url=self.upstream, keys={}).get("/_emulator/ledger").json
        )
        return lines

    def sent(self, words: str) -> int:
        """How many calls with these words in them reached the emulator."""
        rows = Plain(url=self.upstream, keys={}).get("/_emulator/requests").json
        said = json.dumps(words)[1:-1]
        return sum(said in json.dumps(row) for row in rows if "countTokens" not in row["path"])


@contextmanager
def opened(home: Path, upstream: str, **settings: Any) -> Iterator[Gateway]:
    """A gateway as a process."""
    words = ("-m", "tests.server.gemini.standing", str(home), upstream, json.dumps(settings))
    with process(*words) as line:
        yield Gateway(upstream=upstream, home=home, **json.loads(line))


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """An emulator with small pictures."""
    with process("-m", "heliograph.emulator", "--exit-with-stdin", "--small") as line:
        yield json.loads(line)["url"]


@pytest.fixture(scope="session")
def gateway(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """The gateway as it is by default, with signs of life every second."""
    home = tmp_path_factory.mktemp("gateway")
    with opened(home, emulator, server_keepalive=1) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def strict_gateway(emulator: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One that makes an error of pictures of other pixels."""
    home = tmp_path_factory.mktemp("strict")
    with opened(home, emulator, server_mismatch="error") as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client reads its key from our arguments alone."""
    for name in ("GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENAI_HTTP_CLIENT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clients(gateway: Gateway) -> Iterator[Clients]:
    """Make clients that are closed at the end."""
    with ExitStack() as stack:

        def make(
            user: str = "anna", base_url: str = "", of: Gateway = gateway, **options: Any
        ) -> genai.Client:
            client = genai.Client(
                api_key=of.keys.get(user, "nobody"),
                http_options=types.HttpOptions(base_url=base_url or of.url, **options),
            )
            stack.callback(client.close)
            return client

        yield make


@pytest.fixture
def client(clients: Clients) -> genai.Client:
    """The usual client, everything at its default."""
    return clients()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        error: dict[str, Any] = self.json["error"]
        assert error["code"] == self.status
        return error

    @property
    def reason(self) -> str:
        """Our own code."""
        (info,) = [d for d in self.error["details"] if d["@type"].endswith("ErrorInfo")]
        assert info["domain"] == "heliograph"
        return str(info["reason"])

    @property
    def parts(self) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = self.json["candidates"][0]["content"]["parts"]
        return parts


@dataclass(frozen=True, kw_only=True)
class Plain:
    """Plain HTTP, so that paths and bodies leave exactly as they are written."""

    url: str
    keys: dict[str, str]

    def send(
        self, verb: str, path: str, body: Any = None, *, key: str = "anna", **headers: str
    ) -> Answer:
        sent = {"content-type": "application/json"}
        if key:
            sent["x-goog-api-key"] = self.keys.get(key, key)
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        parts = urlsplit(self.url)
        connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)
        try:
            connection.putrequest(verb, f"{parts.path}{path}", skip_accept_encoding=True)
            for name, value in sent.items():
                connection.putheader(name, value)
            if data is not None and "content-length" not in sent:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(status=answer.status, headers=found, body=answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Answer:
        return self.send("GET", path, **headers)

    def post(self, path: str, body: Any, **headers: str) -> Answer:
        return self.send("POST", path, body, **headers)

    def draw(self, body: Any, *, method: str = "generateContent", **headers: str) -> Answer:
        return self.post(f"/v1beta/models/{PRO}:{method}", body, **headers)


@pytest.fixture
def plain(gateway: Gateway) -> Plain:
    return Plain(url=gateway.url, keys=gateway.keys)


def asking(prompt: str = "a lake", **config: Any) -> dict[str, Any]:
    """The smallest body."""
    body: dict[str, Any] = {"contents": [{"parts": [{"text": prompt}]}]}
    return body | ({"generationConfig": config} if config else {})


def picture(colour: tuple[int, int, int] = (30, 60, 120), kind: str = "PNG") -> bytes:
    """A small picture; of the real size, so that nothing scales it."""
    buffer = io.BytesIO()
    Image.new("RGB", (96, 64), colour).save(buffer, kind)
    return buffer.getvalue()


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def pixels(data: bytes | None) -> tuple[int, int]:
    return Image.open(io.BytesIO(data or b"")).size
