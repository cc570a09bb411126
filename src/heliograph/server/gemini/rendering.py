"""An answer as bytes: JSON text from memory, pictures and signatures from their files.

Invariant: no picture is in memory whole, the length is known before the first byte, and a file
that is not what it was breaks the connection off instead of becoming a wrong success.
"""

import asyncio
import json
import secrets
import shutil
import weakref
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import pybase64

from heliograph.errors import StorageError
from heliograph.ports import Blobs
from heliograph.server.gemini.answer import Answer

Framing = Literal["single", "sse", "array"]
COPIES = Path("exports", "answers")  # below the home folder: what an object store lends us
PIECE = 3 << 18  # bytes of a file at once; a multiple of 3, so that base64 joins seamlessly
QUICK = 1 << 16  # bytes that are read sooner than they are handed to a thread


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A file in the middle of an answer."""

    path: Path
    size: int  # bytes of the file
    encoded: bool  # as base64

    @property
    def length(self) -> int:
        """Bytes on the wire."""
        return (self.size + 2) // 3 * 4 if self.encoded else self.size


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """A whole body."""

    pieces: tuple[bytes | Stretch, ...]
    # copies of what lies in an object store; they go when the body is sent, or is not wanted
    copies: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __post_init__(self) -> None:
        weakref.finalize(self, self.copies.close)

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(p.length if isinstance(p, Stretch) else len(p) for p in self.pieces)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body in pieces of at most 1 MiB.

        Raises:
            StorageError: a file is not what it was.
        """
        with self.copies:
            for piece in self.pieces:
                if isinstance(piece, bytes):
                    yield piece
                else:
                    async for each in _read(piece):
                        yield each


class Home(Protocol):
    """Where answers are kept."""

    @property
    def blobs(self) -> Blobs: ...

    @property
    def home(self) -> Path: ...


async def render(answer: Answer, framing: Framing, shelf: Home) -> Rendered:
    """The body of an answer.

    Raises:
        RecordNotFound: a file of it is not there any more.
    """
    files = {}
    with ExitStack() as copies:
        # each answer has a folder of its own: two may send the same picture at the same time
        folder = shelf.home / COPIES / secrets.token_hex(16)
        copies.callback(shutil.rmtree, folder, ignore_errors=True)
        for name, part in answer.parts.items():
            path = await shelf.blobs.local(part.key, folder)
            size = path.stat().st_size  # quicker than handing it to a thread
            files[name] = Stretch(path=path, size=size, encoded=part.kind == "image")
        pieces = tuple(_joined(_framed(answer.events, framing, files)))
        return Rendered(pieces=pieces, copies=copies.pop_all())


def framed_error(document: Mapping[str, Any], framing: Framing) -> bytes:
    """An error in place of an answer that was begun already."""
    return b"".join(p for p in _framed([document], framing, {}) if isinstance(p, bytes))


def merged(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The events of a stream as the one answer that they amount to."""
    whole: dict[str, Any] = {}
    candidates: dict[int, dict[str, Any]] = {}
    for event in events:
        whole |= {name: value for name, value in event.items() if name != "candidates"}
        for candidate in event.get("candidates") or ():
            _add(candidates.setdefault(candidate.get("index", 0), {}), candidate)
    if candidates:
        whole = {"candidates": [candidates[index] for index in sorted(candidates)]} | whole
    return whole


def _add(whole: dict[str, Any], candidate: Mapping[str, Any]) -> None:
    before = whole.get("content") or {}
    whole |= candidate
    content = candidate.get("content") or {}
    parts = [*(before.get("parts") or ()), *(content.get("parts") or ())]
    both = {**before, **content}
    whole["content"] = {**both, "parts": parts} if parts else both


def _framed(
    events: Sequence[Mapping[str, Any]], framing: Framing, files: Mapping[str, Stretch]
) -> Iterator[bytes | Stretch]:
    if framing == "single":
        yield from _written(events[0] if len(events) == 1 else merged(events), files)
        yield b"\n"
    elif framing == "sse":
        for event in events:
            yield b"data: "
            yield from _written(event, files)
            yield b"\r\n\r\n"
    else:
        opening = b"["
        for event in events:
            yield opening
            yield from _written(event, files)
            opening = b",\r\n"
        yield b"]\n"


def _written(
    document: Mapping[str, Any], files: Mapping[str, Stretch]
) -> Iterator[bytes | Stretch]:
    """JSON text with files where placeholders stand."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    if not files:
        yield _utf8(text)
        return
    # with its quotes, or a name could be found at the beginning of another; no regular
    # expression, because the names are new every time, and to compile one costs more than this
    quoted = {f'"{name}"': file for name, file in files.items()}
    start = 0
    while places := [(at, name) for name in quoted if (at := text.find(name, start)) >= 0]:
        at, name = min(places)
        yield _utf8(text[start : at + 1])
        yield quoted[name]
        start = at + len(name) - 1
    yield _utf8(text[start:])


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # half a surrogate pair, which only an escape can say
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace").encode()


def _joined(pieces: Iterator[bytes | Stretch]) -> list[bytes | Stretch]:
    """The same pieces, bytes that follow one another made one."""
    found: list[bytes | Stretch] = []
    for piece in pieces:
        last = found[-1] if found else None
        if isinstance(piece, bytes) and isinstance(last, bytes):
            found[-1] = last + piece
        else:
            found.append(piece)
    return found


async def _read(stretch: Stretch) -> AsyncIterator[bytes]:
    left = stretch.size
    with stretch.path.open("rb") as file:
        while left:
            count = min(PIECE, left)
            if count <= QUICK:
                data = _piece(file, count, stretch)
            else:
                data = await asyncio.to_thread(_piece, file, count, stretch)
            left -= count
            yield data


def _piece(file: BinaryIO, count: int, stretch: Stretch) -> bytes:
    data = file.read(count)
    if len(data) < count:
        raise StorageError("A kept file is shorter than it was.")
    return pybase64.b64encode(data) if stretch.encoded else data
