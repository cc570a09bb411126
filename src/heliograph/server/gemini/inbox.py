"""Takes request bodies: long strings go to files while they arrive, the rest is strict JSON.

A body of 100 MB costs memory for what is not pictures alone. Invariant: a body that can be read in
two ways is refused; its files live in one folder, and that folder lives exactly as long as
somebody may still send from it.
"""

import base64
import hashlib
import json
import math
import os
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import ClientDisconnect, Request

from heliograph.errors import StorageError
from heliograph.providers.tap import AnswerTooLarge, Spooled, Tap
from heliograph.server.faults import Fault, TooLarge, UnsupportedMedia
from heliograph.server.gemini.envelope import bad
from heliograph.server.gemini.protojson import Long, whole
from heliograph.types import Enclosed

DEEPEST = 64  # arrays and objects within one another
ABANDONED = 86400.0  # seconds after which a folder belongs to nobody: no call takes that long
PIECE = 1 << 20  # characters of base64 decoded at once; a multiple of 4
SHOWN = 64  # characters of a bad string that are repeated
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_"


class ClientLeft(Fault):
    """The client left in the middle of its own request; nobody reads the answer."""

    code = "client_left"


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One body, its long strings in files."""

    document: dict[str, Any]
    folder: Path
    spools: dict[str, Spooled] = field(default_factory=dict)

    def enclosed(self, long: Long, media_type: str | None) -> Enclosed:
        """A long string as a file that can be sent; touches the disk.

        Raises:
            BadBody: it is no base64.
        """
        spool = self.spools.get(long.text)
        if long.kind == "signature":
            return self._signature(long, spool)
        if spool is None:
            path = self.folder / f"text-{secrets.token_hex(8)}"
            path.write_bytes(b"")
            rest = path.with_name(path.name + ".rest")
            rest.write_bytes(long.text.encode())
        elif spool.defect is None:
            return _file(spool.path, spool.size, spool.sha256, media_type)
        else:
            path, rest = spool.path, spool.path.with_name(spool.path.name + ".rest")
            if spool.size % 3:  # it was padded, so nothing may follow
                raise _no_base64(long, rest)
        try:
            size, digest = _decode_rest(path, rest)
        except ValueError:
            raise _no_base64(long, rest) from None
        return _file(path, size, digest, media_type)

    def is_placeholder(self, text: str) -> bool:
        """Whether a string of the document only stands for one in a file."""
        return text in self.spools

    def _signature(self, long: Long, spool: Spooled | None) -> Enclosed:
        """Signatures go on byte for byte, so they are only looked at."""
        if spool is None:
            text = long.text.encode()
            path = self.folder / f"text-{secrets.token_hex(8)}"
            path.write_bytes(text)
            spool = Spooled(
                path=path, size=len(text), sha256=hashlib.sha256(text).hexdigest(), defect=None
            )
        if not _could_be_base64(spool.path):
            raise _no_base64(long, spool.path)
        return _file(spool.path, spool.size, spool.sha256, None)


class Inbox:
    """Folders for bodies, below the gateway's home."""

    def __init__(self, home: Path) -> None:
        self._root = home
        self._is_swept = False

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """A new empty folder; it is gone at the end.

        Raises:
            StorageError: it cannot be made.
        """
        path = self._root / secrets.token_hex(16)
        try:
            path.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise StorageError(
                "There is no room for the request.", why=os.strerror(error.errno or 0)
            ) from error
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def sweep(self) -> None:
        """Remove what processes that are gone had left, once."""
        if self._is_swept or not self._root.is_dir():
            return
        self._is_swept = True
        for path in self._root.iterdir():
            try:
                is_old = time.time() - path.stat().st_mtime > ABANDONED
            except OSError:
                continue  # another process was quicker
            if is_old:
                shutil.rmtree(path, ignore_errors=True)


async def receive(request: Request, folder: Path, limit: int) -> Incoming:
    """The body of a request.

    Args:
        limit: bytes that are taken.

    Raises:
        UnsupportedMedia: it is compressed, or says that it is no JSON.
        TooLarge: it has more bytes than are taken; reading stopped there.
        BadBody: it is no JSON object.
    """
    refuse_other_media(request)
    tap = Tap(folder)
    try:
        async for piece in limited(request, limit):
            tap.feed(piece)
    except AnswerTooLarge as error:
        raise TooLarge(f"The request holds {error}.") from error
    except OSError as error:
        raise StorageError(
            "The request could not be stored.", why=os.strerror(error.errno or 0)
        ) from error
    finally:
        tapped = tap.close()
    return Incoming(document=parse(tapped.skeleton), folder=folder, spools=dict(tapped.spools))


async def limited(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The pieces of a body as they arrive.

    Raises:
        TooLarge: there are more bytes than are taken.
        ClientLeft: it left.
    """
    announced = whole(request.headers.get("content-length"))
    if announced is not None and announced > limit:
        raise too_large(limit)
    taken = 0
    try:
        async for piece in request.stream():
            taken += len(piece)
            if taken > limit:
                raise too_large(limit)
            yield piece
    except ClientDisconnect as error:
        raise ClientLeft("The request did not arrive whole.") from error


def refuse_other_media(request: Request) -> None:
    """Refuse bodies that are compressed, or call themselves something else than JSON."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    kind = request.headers.get("content-type", "application/json").partition(";")[0]
    if encoding != "identity" or kind.strip().lower() not in ("application/json", ""):
        raise UnsupportedMedia(
            "The body is not taken in this form.",
            why="It must be JSON that is not compressed.",
            remedy="Send it with the header Content-Type: application/json.",
        )


def too_large(limit: int) -> TooLarge:
    """The 413 in the words that Google has for it."""
    return TooLarge(
        f"Request payload size exceeds the limit: {limit} bytes.",
        remedy="Send fewer or smaller pictures, or upload them with the Files API.",
    )


def parse(text: bytes) -> dict[str, Any]:
    """A JSON object; nothing at all is an empty one.

    Raises:
        BadBody: it is something else, or can be read in two ways.
    """
    if not text.strip():
        return {}
    try:
        value = json.loads(
            text.decode(),
            object_pairs_hook=_once,
            parse_constant=_no_number,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise _payload("Invalid UTF-8.") from None
    except RecursionError:
        raise _payload("Too deeply nested.") from None
    except json.JSONDecodeError as error:
        near = error.doc[error.pos : error.pos + 20]
        raise _payload(f"Unexpected token.\n{near}\n^" if near else "Unexpected end.") from None
    except ValueError as error:
        raise _payload(str(error)) from None
    if not isinstance(value, dict):
        raise _payload("Root element must be a message.")
    _check(value)
    return value


def _check(document: dict[str, Any]) -> None:
    """Depth, and half surrogate pairs, which no UTF-8 can say."""
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEEPEST:
            raise _payload("Too deeply nested.")
        if isinstance(value, dict):
            waiting += [(each, depth + 1) for each in (*value, *value.values())]
        elif isinstance(value, list):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _payload("A string holds half a surrogate pair.") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("A name stands twice in one object.")
    return found


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no number.")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError("A number is too large.")
    return number


def _payload(why: str) -> Fault:
    return bad(f"Invalid JSON payload received. {why}")


def _file(path: Path, size: int, digest: str, media_type: str | None) -> Enclosed:
    return Enclosed(path=path, size=size, sha256=digest, media_type=media_type)


def _no_base64(long: Long, file: Path) -> Fault:
    with file.open("rb") as text:
        shown = text.read(SHOWN).decode("ascii", "replace")
    message = (
        f"Invalid value at '{long.where}' (TYPE_BYTES), Base64 decoding failed for \"{shown}\""
    )
    return bad(message, field=long.where)


def _could_be_base64(path: Path) -> bool:
    """Whether a text is base64 in either alphabet, padded or not; it is not decoded for that."""
    letters, padding = 0, 0
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            plain = piece.rstrip(b"=")
            if plain.translate(None, _BASE64) or (plain and padding):
                return False
            letters += len(plain)
            padding += len(piece) - len(plain)
    # four letters are three bytes; one letter alone is none
    return letters % 4 != 1 and padding in (0, -letters % 4)


def _decode_rest(path: Path, rest: Path) -> tuple[int, str]:
    """Decode what the tap, which takes the plain alphabet alone, had left: SDKs write the other.

    Returns:
        Size and SHA-256 of the whole file then.
    """
    with path.open("ab") as file, rest.open("rb") as text:
        while piece := text.read(PIECE):
            plain = piece.translate(_URL_SAFE)
            is_last = len(plain) < PIECE
            plain += b"=" * (-len(plain) % 4) if is_last else b""
            decoded = base64.b64decode(plain, validate=True)
            if len(decoded) != len(plain) // 4 * 3 and text.read(1):
                raise ValueError("base64 goes on after its padding")
            file.write(decoded)
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(PIECE):
            digest.update(block)
            size += len(block)
    rest.unlink()
    return size, digest.hexdigest()
