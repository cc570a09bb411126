"""The body of a request: it leaves in pieces, and its last byte waits for permission.

Invariant: the last byte is handed to the socket only after the hook returned, and the hook is
called only when everything before it was handed over. A server cannot run a request that it has
not wholly received, so whatever fails before the hook returned is provably not paid for; what
fails on our own side, a file that is not what it was among it, is told apart from what fails on
the way.
"""

import asyncio
import base64
import hashlib
import re
import string
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from heliograph.errors import HeliographError, StorageError
from heliograph.killpoints import reach
from heliograph.providers.wire import WireRequest
from heliograph.types import Reference, Signature

PIECE = 3 << 18  # bytes read of a reference at once; a multiple of 3, so base64 joins seamlessly
# what a signature is made of, in either alphabet: it goes between quotes just as it lies there
BASE64 = (string.ascii_letters + string.digits + "+/-_=").encode()
SHA256 = re.compile(r"[0-9a-f]{64}")
UNHARMED = "Nothing was sent whole or charged."


class Body(aiohttp.payload.Payload):
    """A request body that asks before it releases its last byte.

    Args:
        before_last: awaited when all but the last byte was handed over; when it raises, the last
            byte never leaves.
        refuse: told of an error of our own side: aiohttp would make it one of the connection.
    """

    def __init__(
        self,
        request: WireRequest,
        before_last: Callable[[], Awaitable[None]],
        refuse: Callable[[HeliographError], None],
    ) -> None:
        super().__init__(request, content_type=request.headers["content-type"])
        self._size = request.length
        self._request = request
        self._before_last = before_last
        self._refuse = refuse

    async def write(self, writer: AbstractStreamWriter) -> None:
        await self.write_with_length(writer, None)

    async def write_with_length(
        self, writer: AbstractStreamWriter, _content_length: int | None
    ) -> None:
        held = b""
        try:
            # closed at once when the upstream hangs up, or a reference would stay open
            async with aclosing(_pieces(self._request)) as pieces:
                async for piece in pieces:
                    await writer.write(held + piece[:-1])
                    held = piece[-1:]
            await self._before_last()
        except HeliographError as error:
            self._refuse(error)
            raise
        await writer.write(held)
        reach("last-byte")

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        del encoding, errors
        raise TypeError("a request body is sent, never shown")


async def _pieces(request: WireRequest) -> AsyncGenerator[bytes, None]:
    for part in request.body:
        if isinstance(part, bytes):
            yield part
        elif isinstance(part, Signature):
            async with aclosing(_file_pieces(part.path, part, "A signature")) as pieces:
                async for piece in pieces:
                    if piece.translate(None, BASE64):
                        raise StorageError("A signature is damaged: it is no base64.")
                    yield piece
        elif isinstance(part.source, bytes):
            yield base64.b64encode(part.source)
        else:
            async with aclosing(_file_pieces(part.source, part, part.name)) as pieces:
                async for piece in pieces:
                    yield base64.b64encode(piece)


async def _file_pieces(
    path: Path, planned: Reference | Signature, name: str
) -> AsyncGenerator[bytes, None]:
    """The bytes of a file; it ends well only where they are the bytes that were planned.

    Raises:
        StorageError: they are others, or cannot be read; the last byte of the body is held back.
    """
    read, digest = 0, hashlib.sha256()
    try:
        # opened here: what a thread opens after we were called off would stay open
        with path.open("rb") as file:
            while data := await asyncio.to_thread(file.read, PIECE):
                read += len(data)
                if read > planned.size:
                    break  # it has grown; what is more would fill the length that was announced
                digest.update(data)
                yield data
    except OSError as error:
        raise StorageError(f"{name} cannot be read.", why=str(error), remedy=UNHARMED) from error
    is_known = SHA256.fullmatch(planned.sha256) is not None
    if read != planned.size or (is_known and digest.hexdigest() != planned.sha256):
        raise StorageError(f"{name} changed while it was being sent.", remedy=UNHARMED)
