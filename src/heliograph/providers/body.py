"""The body of a request: it leaves in pieces, and its last byte waits for permission.

Invariant: the last byte is handed to the socket only after the hook returned, and the hook is
called only when everything before it was handed over. A server cannot run a request that it has
not wholly received, so whatever fails before the hook returned is provably not paid for.
"""

import asyncio
import base64
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from heliograph.killpoints import reach
from heliograph.providers.wire import WireRequest
from heliograph.types import Reference

PIECE = 3 << 18  # bytes read of a reference at once; a multiple of 3, so base64 joins seamlessly


class Body(aiohttp.payload.Payload):
    """A request body that asks before it releases its last byte.

    Args:
        before_last: awaited when all but the last byte was handed over; when it raises, the last
            byte never leaves.
    """

    def __init__(self, request: WireRequest, before_last: Callable[[], Awaitable[None]]) -> None:
        super().__init__(request, content_type=request.headers["content-type"])
        self._size = request.length
        self._request = request
        self._before_last = before_last

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, _content_length: int | None
    ) -> None:
        held = b""
        # closed at once when the upstream hangs up, or a reference would stay open
        async with aclosing(_pieces(self._request)) as pieces:
            async for piece in pieces:
                await writer.write(held + piece[:-1])
                held = piece[-1:]
        await self._before_last()
        await writer.write(held)
        reach("last-byte")

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del encoding, errors
        raise TypeError("a request body is sent, never shown")


async def _pieces(request: WireRequest) -> AsyncGenerator[bytes, None]:
    for part in request.body:
        if isinstance(part, bytes):
            yield part
        elif isinstance(part.source, bytes):
            yield base64.b64encode(part.source)
        else:
            async with aclosing(_file_pieces(part, part.source)) as pieces:
                async for piece in pieces:
                    yield piece


async def _file_pieces(reference: Reference, path: Path) -> AsyncGenerator[bytes, None]:
    read = 0
    # opened here: what a thread opens after we were called off would stay open
    with path.open("rb") as file:
        while data := await asyncio.to_thread(file.read, PIECE):
            read += len(data)
            yield base64.b64encode(data)
    if read != reference.size:
        raise OSError(f"{reference.name} changed while it was being sent")
