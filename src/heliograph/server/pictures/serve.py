"""The one function that sends a picture.

Source: RFC 9110 (conditions and ranges), reliability.md section 8 (headers). Invariant: the type
that is told is that of the bytes themselves, and what is no picture is not sent; a file is never
held in memory as a whole; one answer has at most one range.
"""

import asyncio
import hashlib
import logging
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from heliograph.errors import RecordNotFound
from heliograph.imaging import NotAnImage
from heliograph.imaging.header import header_of
from heliograph.imaging.window import Window
from heliograph.server.faults import RangeNotSatisfiable
from heliograph.server.pictures.naming import disposition

LOG = logging.getLogger("heliograph.server")
PIECE = 256 << 10  # bytes that are read and sent at a time
# what browsers may do with the bytes: show them, and nothing else
HEADERS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-site",
    "referrer-policy": "no-referrer",
    # kept only by the reader's own browser, which asks each time whether it may still show it:
    # a picture in the trash is gone, and another user of the browser is asked for a key
    "cache-control": "private, no-cache",
    "accept-ranges": "bytes",
}
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})", re.ASCII)
# a pipe must not be waited for; Windows lacks the first two and needs the last
_FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY")
)
_AVIF = (b"ftypavif", b"ftypavis")
_TIFF = (b"II*\0", b"MM\0*")


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What is to be sent."""

    source: Path | bytes  # a picture's file, or a description that is written here
    name: str  # of the file that a download makes, its suffix left out
    sha256: str | None = None  # of the bytes, where it is known
    size: int | None = None  # bytes, where it is known
    attachment: bool = False  # to be saved, not shown
    media_type: str | None = None  # of a description, with its suffix
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class _Kind:
    media_type: str
    suffix: str


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """The bytes, looked at."""

    size: int
    etag: str
    kind: _Kind
    first: bytes  # the first piece, since it is read anyway


def serve(shown: Shown) -> Response:
    """The answer to GET or HEAD.

    Raises:
        RecordNotFound: when it is sent: there is no such file, or it is no picture.
    """
    return _Answer(shown)


class _Answer(Response):
    """Opens the file when it is sent, and closes it in every case."""

    def __init__(self, shown: Shown) -> None:
        super().__init__()
        self._shown = shown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002
        source = self._shown.source
        if isinstance(source, bytes):
            await self._answer(scope, send, _described(self._shown, source), None)
            return
        stream = await asyncio.to_thread(_open, source)
        try:
            opened = await asyncio.to_thread(_look, self._shown, stream)
            await self._answer(scope, send, opened, stream)
        finally:
            stream.close()

    async def _answer(
        self, scope: Scope, send: Send, opened: _Opened, stream: FileIO | None
    ) -> None:
        asked = Request(scope).headers
        headers = {
            **HEADERS,
            "etag": opened.etag,
            "content-type": opened.kind.media_type,
            "content-disposition": disposition(
                self._shown.name, opened.kind.suffix, attachment=self._shown.attachment
            ),
        }
        status, start, end = 200, 0, opened.size
        if not _matches(asked.get("if-match", "*"), opened.etag, weak=False):
            status, end = 412, 0
        elif _matches(asked.get("if-none-match", ""), opened.etag, weak=True):
            status, end = 304, 0
        elif scope["method"] == "GET" and asked.get("if-range", opened.etag) == opened.etag:
            try:
                part = range_of(asked.get("range"), opened.size)
            except RangeNotSatisfiable:
                status, end = 416, 0
                headers["content-range"] = f"bytes */{opened.size}"
            else:
                if part is not None:
                    status, (start, end) = 206, part
                    headers["content-range"] = f"bytes {start}-{end - 1}/{opened.size}"
        if status in (304, 412, 416):
            del headers["content-type"]
        if status != 304:  # there it would be the size of what is not sent
            headers["content-length"] = str(end - start)
        raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        if scope["method"] == "HEAD":
            end = start
        await _send(send, opened.first, stream, start, end)


async def _send(send: Send, first: bytes, stream: FileIO | None, start: int, end: int) -> None:
    while start < end and (start < len(first) or stream is not None):
        piece = first[start:end]
        if not piece and stream is not None:
            count = min(PIECE, end - start)
            piece = await asyncio.to_thread(_read, stream, start, count)
        if not piece:
            # shorter than it was a moment ago; the server closes the connection, so that nobody
            # takes the part for the whole
            raise OSError("the file became shorter while it was sent")
        start += len(piece)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def range_of(header: str | None, size: int) -> tuple[int, int] | None:
    """The bytes from … to before … that a `Range` asks for; None for the whole file.

    One that is not understood, and one with several ranges, are as if there were none.

    Raises:
        RangeNotSatisfiable: the file has none of these bytes.
    """
    found = _RANGE.fullmatch(header) if header is not None and len(header) < 50 else None
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if first and last and int(last) < int(first):
        return None  # not a range at all
    start = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if start >= end:
        raise RangeNotSatisfiable("There are no such bytes.", facts={"size": size})
    return start, end


def _matches(header: str, etag: str, *, weak: bool) -> bool:
    tags = [tag.strip() for tag in header.split(",")]
    if weak:
        tags = [tag.removeprefix("W/") for tag in tags]
    return "*" in tags or etag in tags


def _described(shown: Shown, data: bytes) -> _Opened:
    kind = _Kind(media_type=shown.media_type or "application/octet-stream", suffix=shown.suffix)
    etag = f'"{hashlib.sha256(data).hexdigest()}"'
    return _Opened(size=len(data), etag=etag, kind=kind, first=data)


def _open(path: Path) -> FileIO:
    """Raises RecordNotFound when it is not there, or not a file; a link counts as none."""
    try:
        return FileIO(os.open(path, _FLAGS), "rb")
    except (OSError, ValueError) as error:
        raise _missing(path, type(error).__name__) from error


def _read(stream: FileIO, start: int, count: int) -> bytes:
    stream.seek(start)
    return stream.read(count)


def _look(shown: Shown, stream: FileIO) -> _Opened:
    path = Path(str(shown.source))
    found = os.fstat(stream.fileno())
    if not stat.S_ISREG(found.st_mode):
        raise _missing(path, "it is no file")
    if shown.size is not None and found.st_size != shown.size:
        raise _missing(path, f"it has {found.st_size} bytes instead of {shown.size}")
    kind = _sniffed(stream, found.st_size, path)
    sha256 = shown.sha256
    if sha256 is None:
        stream.seek(0)
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    first = _read(stream, 0, PIECE)
    return _Opened(size=found.st_size, etag=f'"{sha256}"', kind=kind, first=first)


def _sniffed(stream: FileIO, size: int, path: Path) -> _Kind:
    begin = _read(stream, 0, 12)
    # only our own copies are of these
    if begin[4:] in _AVIF:
        return _Kind(media_type="image/avif", suffix=".avif")
    if begin[:4] in _TIFF:
        return _Kind(media_type="image/tiff", suffix=".tiff")
    try:
        header = header_of(Window(stream, size))
    except NotAnImage as error:
        raise _missing(path, str(error)) from error
    return _Kind(media_type=header.media_type, suffix=header.suffix)


def _missing(path: Path, why: str) -> RecordNotFound:
    # the reader learns nothing of our disk; the operator has to
    LOG.warning("%s is not sent: %s", path.name, why)
    return RecordNotFound("There is no such image.")
