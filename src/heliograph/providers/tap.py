"""A streaming tap for answers whose strings are larger than anything else in them.

A real 4K answer is one line of about 30 MB: image data in base64, and thought signatures of
1–3 MB each. The tap lexes the bytes as they arrive, in any chunking, and diverts the value of
every `data` and signature string into a spool file; what remains is a small skeleton
with a placeholder for each, which an ordinary JSON parser reads. It works on JSON, on JSON
arrays and on server-sent events alike, because none of them may break a line inside a string.

Invariant: memory stays constant, whatever arrives; a placeholder appears only where a string was
diverted (the marker is random), and a spool holds exactly what its string said.
"""

import hashlib
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

import pybase64

SKELETON_LIMIT = 8 << 20  # bytes of JSON that are not image or signature
SPOOL_LIMIT = 96 << 20  # bytes of decoded strings in one answer (reliability F40)
KEPT_KEY = 64  # longest string remembered as a possible key

_SPECIAL = re.compile(rb'["\\]')
_UNICODE = re.compile(rb"\\u[0-9a-fA-F]{4}")
_ESCAPES = {
    ord("/"): b"/",
    ord("\\"): b"\\",
    ord('"'): b'"',
    ord("b"): b"\b",
    ord("f"): b"\f",
    ord("n"): b"\n",
    ord("r"): b"\r",
    ord("t"): b"\t",
}


# a memoryview where pieces are large: slices of 30 MB are worth not copying
Text = bytes | memoryview


class AnswerTooLarge(ValueError):
    """The answer passed a size limit; reading stopped there."""


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """One diverted string."""

    path: Path
    size: int  # bytes in the file
    sha256: str  # of the file
    defect: str | None  # why the string cannot be whole or valid


@dataclass(frozen=True, kw_only=True)
class Tapped:
    """A whole body after the tap."""

    skeleton: bytes
    spools: dict[str, Spooled]  # by placeholder
    cut: str | None  # where the body ended too early, when it ended inside a string


class Sink(Protocol):
    """Takes the text of one string in pieces."""

    def write(self, text: Text) -> int:
        """Take a piece; return how many bytes went to the file for it."""

    def close(self, *, cut: bool) -> Spooled:
        """End of the string, or of the body inside it."""


class TextSink:
    """Keeps the text as it is: thought signatures must go back byte for byte."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0

    def write(self, text: Text) -> int:
        """Keep a piece."""
        self._file.write(text)
        self._hash.update(text)
        self._size += len(text)
        return len(text)

    def close(self, *, cut: bool) -> Spooled:
        """What was kept."""
        self._file.close()
        return Spooled(
            path=self._path,
            size=self._size,
            sha256=self._hash.hexdigest(),
            defect="the answer ended inside this string" if cut else None,
        )


class Base64Sink:
    """Decodes strict base64 on the fly.

    At the first fault decoding stops; the rest of the text goes undecoded to a file beside, named
    `….rest`, so that nothing paid for is thrown away.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("wb")
        self._hash = hashlib.sha256()
        self._size = 0
        self._pending = b""
        self._ended = False
        self._defect: str | None = None

    def write(self, text: Text) -> int:
        """Decode a piece."""
        if self._is_broken():
            return self._file.write(text)
        count = 0
        if self._pending:
            missing = 4 - len(self._pending)
            group, text = self._pending + bytes(text[:missing]), text[missing:]
            self._pending = group if len(group) < 4 else b""
            count = 0 if self._pending else self._decode(group)
        whole = len(text) & ~3
        if whole:
            count += self._decode(text[:whole])
        rest = bytes(text[whole:])
        if self._is_broken():
            return count + self._file.write(rest)
        self._pending = self._pending or rest
        return count

    def _is_broken(self) -> bool:
        return self._defect is not None

    def _decode(self, groups: Text) -> int:
        """Decode whole groups of four."""
        if self._is_broken():
            return self._file.write(groups)
        if self._ended:
            return self._fail("base64 goes on after its padding", groups)
        try:
            decoded = pybase64.b64decode(groups, validate=True)
        except ValueError:
            return self._fail("not valid base64", groups)
        # a valid group that decodes to fewer than 3 bytes was padded, and must be the last one
        self._ended = len(decoded) != len(groups) // 4 * 3
        self._hash.update(decoded)
        self._size += len(decoded)
        return self._file.write(decoded)

    def close(self, *, cut: bool) -> Spooled:
        """What was decoded, and why it is not whole when it is not."""
        if self._defect is None and self._pending:
            self._fail("base64 ends inside a group of four", self._pending)
        self._file.close()
        return Spooled(
            path=self._path,
            size=self._size,
            sha256=self._hash.hexdigest(),
            defect=self._defect or ("the answer ended inside this string" if cut else None),
        )

    def _fail(self, defect: str, text: Text) -> int:
        self._defect = defect
        self._file.close()
        self._file = self._path.with_name(self._path.name + ".rest").open("wb")
        return self._file.write(text)


class NowhereSink:
    """Counts the text of a string, and keeps nothing."""

    def __init__(self) -> None:
        self._size = 0

    def write(self, text: Text) -> int:
        """Count a piece."""
        self._size += len(text)
        return 0

    def close(self, *, cut: bool) -> Spooled:
        """How much there was."""
        defect = "the answer ended inside this string" if cut else None
        return Spooled(path=Path(os.devnull), size=self._size, sha256="", defect=defect)


SINKS: dict[bytes, Callable[[Path], Sink]] = {
    b"data": Base64Sink,
    b"thoughtSignature": TextSink,
    b"thought_signature": TextSink,
    b"signature": TextSink,  # of the Interactions API, on its thought steps
}


class Tap:
    """Feed it the body in pieces, then close it.

    Args:
        folder: takes the strings that are diverted; None keeps none of them.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._marker = f"spool:{secrets.token_hex(8)}:"
        self._skeleton = bytearray()
        self._spools: dict[str, Spooled] = {}
        self._spooled = 0
        self._in_string = False
        self._sink: Sink | None = None
        self._escape = b""  # an escape that the last chunk cut in two
        self._string = bytearray()  # the start of the current short string, a possible key
        self._between = bytearray()  # what stood since the last string, as far as it matters

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            AnswerTooLarge: a limit was passed; nothing more should be read.
        """
        if self._escape:
            chunk, self._escape = self._escape + chunk, b""
        position = 0
        while position < len(chunk):
            if self._sink is not None:
                position = self._divert(chunk, position)
            elif self._in_string:
                position = self._pass_string(chunk, position)
            else:
                position = self._pass_structure(chunk, position)
        if len(self._skeleton) > SKELETON_LIMIT:
            raise AnswerTooLarge(f"more than {SKELETON_LIMIT >> 20} MiB of JSON besides images")

    def close(self) -> Tapped:
        """End of the body; also right after a failure, to keep what arrived."""
        cut = None
        if self._sink is not None:
            cut = "inside image data or a signature"
            self._end_sink(cut=True)
        elif self._in_string:
            cut = "inside a string"
        return Tapped(skeleton=bytes(self._skeleton), spools=dict(self._spools), cut=cut)

    def _pass_structure(self, chunk: bytes, start: int) -> int:
        quote = chunk.find(b'"', start)
        end = len(chunk) if quote < 0 else quote
        piece = chunk[start:end]
        self._skeleton += piece
        if len(self._between) < KEPT_KEY:
            self._between += piece
        if quote < 0:
            return end
        is_value = self._between.strip() == b":"
        self._between.clear()
        self._in_string = True
        sink = SINKS.get(bytes(self._string)) if is_value else None
        self._string.clear()
        if sink is not None:
            number = len(self._spools)
            kept = self._folder and sink(self._folder / f"part-{number:03d}")
            self._sink = kept or NowhereSink()
        else:
            self._skeleton += b'"'
        return quote + 1

    def _pass_string(self, chunk: bytes, start: int) -> int:
        found = _SPECIAL.search(chunk, start)
        end = found.start() if found else len(chunk)
        piece = chunk[start:end]
        self._skeleton += piece
        if len(self._string) <= KEPT_KEY:
            self._string += piece[: KEPT_KEY + 1]
        if found is None:
            return end
        if found.group() == b'"':
            self._skeleton += b'"'
            self._in_string = False
            return end + 1
        if end + 1 == len(chunk):
            self._escape = chunk[end:]
            return len(chunk)
        self._skeleton += chunk[end : end + 2]
        # an escaped key is legal JSON; no upstream writes one, and it must not be mistaken
        self._string += b"\\"
        return end + 2

    def _divert(self, chunk: bytes, start: int) -> int:
        # two memchr scans beat one regular expression fourfold on 30 MB
        quote = chunk.find(b'"', start)
        end = len(chunk) if quote < 0 else quote
        escape = chunk.find(b"\\", start, end)
        if escape >= 0:
            end = escape
        if end > start:
            self._take(memoryview(chunk)[start:end])
        if escape >= 0:
            return self._take_escape(chunk, end)
        if quote < 0:
            return end
        self._end_sink(cut=False)
        return end + 1

    def _take_escape(self, chunk: bytes, start: int) -> int:
        length = 6 if chunk[start + 1 : start + 2] == b"u" else 2
        escape = chunk[start : start + length]
        if len(escape) < length:
            self._escape = escape
            return len(chunk)
        self._take(_unescape(escape))
        return start + length

    def _take(self, text: Text) -> None:
        if self._sink is None:
            raise AssertionError("no string is being diverted")
        self._spooled += self._sink.write(text)
        if self._spooled > SPOOL_LIMIT:
            raise AnswerTooLarge(f"more than {SPOOL_LIMIT >> 20} MiB of image data")

    def _end_sink(self, *, cut: bool) -> None:
        if self._sink is None:
            raise AssertionError("no string is being diverted")
        placeholder = f"{self._marker}{len(self._spools)}"
        self._spools[placeholder] = self._sink.close(cut=cut)
        self._skeleton += f'"{placeholder}"'.encode()
        self._sink = None
        self._in_string = False


def _unescape(escape: bytes) -> bytes:
    """One JSON escape as the text it stands for; a broken one stays visible as it is."""
    if _UNICODE.fullmatch(escape):
        return chr(int(escape[2:].decode(), base=16)).encode("utf-8", "surrogatepass")
    return _ESCAPES.get(escape[1], escape)
