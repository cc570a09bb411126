"""Large JSON bodies: a document whose pictures are read from their files while it is sent.

Invariant: the length is known before the first byte, memory does not grow with the picture, and a
file that changed meanwhile breaks the connection instead of giving a wrong picture.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pybase64
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

PIECE = 3 << 18  # bytes read at a time; a multiple of 3, so that base64 pieces join


@dataclass(frozen=True, kw_only=True)
class Inline:
    """A picture that stands in a document as base64."""

    path: Path
    size: int  # bytes

    @property
    def length(self) -> int:
        """Characters of its base64."""
        return -(-self.size // 3) * 4


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number that is written with exactly these digits: money is no float."""

    digits: str


class Marks:
    """Stand-ins for pictures and numbers in a document that is made as JSON."""

    def __init__(self) -> None:
        # nobody can guess it, so no prompt can hold it
        self._token = secrets.token_hex(16)
        self._inline: list[Inline] = []
        self._numbers: list[Number] = []

    def picture(self, inline: Inline) -> str:
        """What stands for a picture within a text."""
        self._inline.append(inline)
        return f"<{self._token}i{len(self._inline) - 1}>"

    def number(self, digits: str) -> str:
        """What stands for a number; alone as a value."""
        self._numbers.append(Number(digits=digits))
        return f"<{self._token}n{len(self._numbers) - 1}>"

    def body(self, document: Mapping[str, Any], *, before: str = "", after: str = "") -> "Body":
        """The document as it is sent.

        Args:
            before, after: what stands around it, as in an event stream.
        """
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
        # line ends to some readers of event streams
        text = text.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
        for place, number in enumerate(self._numbers):
            text = text.replace(f'"<{self._token}n{place}>"', number.digits)
        pieces: list[bytes | Inline] = []
        rest = before + text + after
        while (start := rest.find(f"<{self._token}i")) >= 0:
            end = rest.index(">", start)
            place = int(rest[start + len(self._token) + 2 : end])
            pieces += [rest[:start].encode("utf-8", "replace"), self._inline[place]]
            rest = rest[end + 1 :]
        return Body(pieces=(*pieces, rest.encode("utf-8", "replace")))


@dataclass(frozen=True, kw_only=True)
class Body:
    """Text and pictures in the order in which they are sent."""

    pieces: Sequence[bytes | Inline]

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(len(p) if isinstance(p, bytes) else p.length for p in self.pieces)

    async def chunks(self) -> AsyncGenerator[bytes]:
        """The bytes.

        Raises:
            OSError: a file is not there any more, or not as it was.
        """
        for piece in self.pieces:
            if isinstance(piece, bytes):
                yield piece
                continue
            sent = 0
            # opened and closed without a thread: a client that leaves cancels every wait
            with _opened(piece.path) as file:
                while encoded := await asyncio.to_thread(_next, file):
                    sent += len(encoded)
                    yield encoded
            if sent != piece.length:
                raise OSError("a picture changed while it was sent")


class Sending(StreamingResponse):
    """A response whose pieces are let go of at once when the client leaves."""

    def __init__(self, pieces: AsyncGenerator[bytes], **options: Any) -> None:
        super().__init__(pieces, **options)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._pieces.aclose()


def _opened(path: Path) -> IO[bytes]:
    return path.open("rb")


def _next(file: IO[bytes]) -> bytes:
    return pybase64.b64encode(file.read(PIECE))
