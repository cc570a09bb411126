"""Reads multipart forms as they arrive: text into memory, pictures into files.

Source of the limits: reliability.md S51, S52, S58. Invariant: everything is bounded before it is
kept (parts, headers, names, bytes), and a form that goes too far is refused at that byte.
"""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from heliograph.errors import InvalidRequest, Problem
from heliograph.server.faults import TooLarge
from heliograph.server.openai.inline import MOST_BYTES, too_large

MOST_PARTS = 96
MOST_HEADERS = 8  # of one part
MOST_HEADER = 2048  # bytes of one header line
MOST_TEXT = 1 << 20  # bytes of all text fields together
MOST_REST = 1 << 16  # bytes behind the last boundary
LONGEST_BOUNDARY = 70  # RFC 2046
DEEPEST = 6  # brackets of one name
_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]{0,63})((?:\[[A-Za-z0-9_-]{0,64}\]){0,8})", re.ASCII)
_KEY = re.compile(r"\[([A-Za-z0-9_-]{0,64})\]", re.ASCII)
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PLAIN = ("", "binary", "8bit", "7bit")


@dataclass(frozen=True, kw_only=True)
class Form:
    """A whole form."""

    values: dict[str, Any]  # by name; names with brackets are objects and lists
    files: dict[str, list[Path]]  # by name, without brackets


def boundary_of(content_type: str) -> bytes:
    """The boundary that a header names.

    Raises:
        InvalidRequest: it names none, or one of no valid form.
    """
    message = Message()
    message["content-type"] = content_type[:1024]
    given = message.get_boundary() or ""
    boundary = given.encode("utf-8", "replace")
    if len(content_type) > 1024 or not _BOUNDARY.fullmatch(boundary):
        raise _refused("body", f"needs a boundary of at most {LONGEST_BOUNDARY} characters.")
    return boundary


async def read_form(
    stream: AsyncIterator[bytes],
    boundary: bytes,
    *,
    files: tuple[str, ...],
    new_file: Callable[[], Path],
    limit: int,
) -> Form:
    """The form of a request.

    Args:
        stream: the body, as it arrives.
        files: names of the fields that hold pictures.
        new_file: gives the path of one more file.
        limit: bytes of the whole body.

    Raises:
        InvalidRequest: it is no form, or has what is not taken.
        TooLarge: it has too many bytes.
    """
    reading = _Reading(files=files, new_file=new_file)
    parser = MultipartParser(
        boundary,
        {
            "on_part_begin": reading.begin,
            "on_part_data": reading.take,
            "on_part_end": reading.end,
            "on_header_field": reading.header_name,
            "on_header_value": reading.header_value,
            "on_header_end": reading.header_end,
            "on_headers_finished": reading.open,
            "on_end": reading.finish,
        },
        max_header_count=MOST_HEADERS,
        max_header_size=MOST_HEADER,
    )
    taken = 0
    try:
        async for chunk in stream:
            taken += len(chunk)
            if taken > limit:
                raise TooLarge("The body is too large.", why=f"At most {limit} bytes are taken.")
            if reading.is_over:
                reading.skip(len(chunk))
            else:
                parser.write(chunk)
        parser.finalize()
    except FormParserError as error:
        raise _refused("body", "is no multipart form with that boundary.") from error
    finally:
        reading.close()
    if not reading.is_over:
        raise _refused("body", "ends before its last boundary.")
    return Form(values=reading.values(), files=reading.files_found)


@dataclass(kw_only=True)
class _Reading:
    """What has been read so far."""

    files: tuple[str, ...]
    new_file: Callable[[], Path]
    files_found: dict[str, list[Path]] = field(default_factory=dict)
    is_over: bool = False
    _texts: list[tuple[str, str]] = field(default_factory=list)
    _parts: int = 0
    _text_bytes: int = 0
    _rest: int = 0
    _headers: dict[str, bytes] = field(default_factory=dict)
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _name: str = ""
    _file: IO[bytes] | None = None
    _size: int = 0
    _text: bytearray = field(default_factory=bytearray)

    # ------------------------------------------------------------ of the parser

    def begin(self) -> None:
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise _refused("body", f"has more than {MOST_PARTS} parts.")
        self._headers, self._text, self._size = {}, bytearray(), 0

    def header_name(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def header_end(self) -> None:
        name, value = self._header
        self._headers[name.decode("latin-1").lower()] = bytes(value)
        self._header = (bytearray(), bytearray())

    def open(self) -> None:
        """All headers of a part are there."""
        message = Message()
        given = self._headers.get("content-disposition", b"")
        message["content-disposition"] = _one_line(given)
        name = message.get_param("name", header="content-disposition")
        if message.get_content_disposition() != "form-data" or not isinstance(name, str):
            raise _refused("body", "has a part without a name.")
        encoding = self._headers.get("content-transfer-encoding", b"").decode("latin-1").lower()
        if encoding.strip() not in _PLAIN:
            raise _refused(name, "must not be encoded.")
        self._name = name
        field_name = name.partition("[")[0]
        if field_name not in self.files:
            if message.get_param("filename", header="content-disposition") is not None:
                raise _refused(name, f"takes no file; files are {', '.join(self.files)}.")
            return
        path = self.new_file()
        self.files_found.setdefault(field_name, []).append(path)
        self._file = path.open("xb")

    def take(self, data: bytes, start: int, end: int) -> None:
        self._size += end - start
        if self._file is not None:
            if self._size > MOST_BYTES:
                raise too_large(self._name)
            self._file.write(data[start:end])
            return
        self._text_bytes += end - start
        if self._text_bytes > MOST_TEXT:
            raise TooLarge(
                "The text of the form is too large.",
                why=f"At most {MOST_TEXT} bytes are taken.",
                facts={"field": self._name[:64]},
            )
        self._text += data[start:end]

    def end(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            return
        try:
            self._texts.append((self._name, self._text.decode()))
        except UnicodeDecodeError as error:
            raise _refused(self._name, "is not UTF-8.") from error

    def finish(self) -> None:
        self.is_over = True

    # ------------------------------------------------------------ of the reader

    def skip(self, count: int) -> None:
        """Bytes behind the end."""
        self._rest += count
        if self._rest > MOST_REST:
            raise _refused("body", "goes on behind its last boundary.")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def values(self) -> dict[str, Any]:
        """The text fields; `a[b][c]` and `a[]` as objects and lists."""
        found: dict[str, Any] = {}
        for name, text in self._texts:
            _put(found, name, text)
        return found


def _put(found: dict[str, Any], name: str, text: str) -> None:
    match = _NAME.fullmatch(name)
    if match is None:
        raise _refused(name, "is no name of a field.")
    keys = [match[1], *_KEY.findall(match[2])]
    if len(keys) > DEEPEST or "" in keys[:-1]:
        raise _refused(name, "is nested in a way that is not taken.")
    is_list = keys[-1] == ""
    keys = keys[:-1] if is_list else keys
    place: Any = found
    for key in keys[:-1]:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise _refused(name, "stands beside a field of the same name.")
    last = keys[-1]
    if is_list:
        items = place.setdefault(last, [])
        if not isinstance(items, list):
            raise _refused(name, "stands beside a field of the same name.")
        items.append(text)
    elif last in place:
        raise _refused(name, "comes twice.")
    else:
        place[last] = text


def _one_line(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    return "".join(c if c.isprintable() else "?" for c in text)


def _refused(name: str, message: str) -> InvalidRequest:
    shown = "".join(c if c.isprintable() else "?" for c in name[:64])
    return InvalidRequest([Problem(field=shown or "body", value="…", message=message)])
