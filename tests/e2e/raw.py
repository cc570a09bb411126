"""An upstream of a few lines on a real socket, for answers that the emulator would never give."""

import asyncio
import base64
import contextlib
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from PIL import Image

RED, GREEN = (255, 0, 0), (0, 255, 0)
EVENTS = "text/event-stream"


def picture(colour: tuple[int, int, int] = RED) -> bytes:
    """A JPEG of the pixels that 1K promises."""
    file = io.BytesIO()
    Image.new("RGB", (1024, 1024), colour).save(file, "JPEG")
    return file.getvalue()


def part(data: bytes, **more: Any) -> dict[str, Any]:
    """A picture as part of an answer."""
    inline = {"mimeType": "image/jpeg", "data": base64.b64encode(data).decode()}
    return {"inlineData": inline, **more}


def answer(*parts: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An answer with one candidate."""
    return {"candidates": [{"content": {"role": "model", "parts": list(parts)}, **more}]}


def event(document: dict[str, Any]) -> bytes:
    """A document as an event of a stream."""
    return f"data: {json.dumps(document)}\r\n\r\n".encode()


class Said:
    """One answer as it goes over the wire.

    Args:
        missing: bytes that are announced and never come.
        lingers: seconds the connection stays open after the last byte, unless the client leaves.
    """

    def __init__(
        self,
        body: bytes | dict[str, Any],
        *,
        status: int = 200,
        kind: str = "application/json",
        missing: int = 0,
        lingers: float = 0.0,
    ) -> None:
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()
        length = "" if kind == EVENTS else f"content-length: {len(self.body) + missing}\r\n"
        self.head = f"HTTP/1.1 {status} S\r\ncontent-type: {kind}\r\n{length}\r\n".encode()
        self.lingers = lingers


class Upstream:
    """Gives each whole request the next answer, the last one again and again."""

    def __init__(self, answers: tuple[Said, ...], *, is_emulator: bool) -> None:
        self.answers = answers
        self.is_emulator = is_emulator
        self.requests = 0
        self.answered = asyncio.Event()
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            if head.startswith("get "):
                said = Said({}, status=200 if self.is_emulator else 404)
            else:
                length = int(head.partition("content-length:")[2].partition("\r\n")[0])
                await reader.readexactly(length)
                said = self.answers[min(self.requests, len(self.answers) - 1)]
                self.requests += 1
            writer.write(said.head + said.body)
            await writer.drain()
            self.answered.set()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reader.read(), said.lingers)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def saying(*answers: Said, is_emulator: bool = True) -> AsyncIterator[Upstream]:
    """Listen on this machine; as an emulator no key is asked for."""
    upstream = Upstream(answers, is_emulator=is_emulator)
    listening = await asyncio.start_server(upstream.handle, "127.0.0.1", 0)
    upstream.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
    try:
        yield upstream
    finally:
        listening.close()
        await listening.wait_closed()
