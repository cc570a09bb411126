"""HTTP over a bare socket, as the harness speaks to a gateway.

Invariant: nothing here is shared with the client or the gateway, so that neither can hide a fault
of its own; an answer that is not whole is no answer.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

LONGEST_HEAD = 1 << 17  # bytes
NO_BODY = (204, 304)


class LostConnection(ConnectionError):
    """The other side went before its answer was whole."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def document(self) -> Any:
        """The body as JSON; None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


async def speak(
    url: str,
    path: str,
    *,
    document: Any = None,
    headers: Mapping[str, str] | None = None,
    method: str = "POST",
    seconds: float = 120.0,
) -> Answer:
    """Send a request on a connection of its own, and wait for the answer.

    Raises:
        LostConnection: none came, or not all of it.
        TimeoutError: it did not come in time.
    """
    parts = urlsplit(url)
    content = b"" if document is None else json.dumps(document).encode()
    lines = {
        "host": parts.netloc,
        "connection": "close",
        "content-type": "application/json",
        "content-length": str(len(content)),
        **(headers or {}),
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port, limit=LONGEST_HEAD
            )
            try:
                writer.write(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + content)
                await writer.drain()
                return await _answer(reader)
            finally:
                writer.close()
    except TimeoutError:
        raise  # a kind of OSError, but not a connection that is gone
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        raise LostConnection(f"{type(error).__name__}: {error}") from error


async def _answer(reader: asyncio.StreamReader) -> Answer:
    status, headers = 100, dict[str, str]()
    while status < 200:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split(" ", 2)[1])
        pairs = (line.partition(":") for line in head[1:] if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if status in NO_BODY:
        body = b""
    elif headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _chunks(reader)
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Answer(status=status, headers=headers, body=body)


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    pieces: list[bytes] = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        piece = await reader.readexactly(size + 2)
        if not size:
            return b"".join(pieces)
        pieces.append(piece[:-2])
