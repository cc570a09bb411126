"""Input pictures, checked before anything is sent.

Invariant: nothing is decoded, at most 20 MB of each file are read, and the caller learns of all
problems at once, by base name only.
"""

import errno
import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from heliograph.errors import InvalidRequest, Problem
from heliograph.imaging.header import header_of
from heliograph.imaging.png import METADATA_LIMIT
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.structure import structure_of
from heliograph.imaging.window import Window, open_window
from heliograph.types import Header, Reference

MAX_BYTES = 20_000_000
MAX_AREA = 64_000_000  # px
BLOCK = 1 << 20


def check_references(sources: Sequence[Path | bytes]) -> tuple[Reference, ...]:
    """Check every input picture: kind, size, wholeness, one frame, little metadata.

    Raises:
        InvalidRequest: lists every unusable one as `references[0]`, `references[1]` …
    """
    checked: list[Reference] = []
    problems: list[Problem] = []
    for index, source in enumerate(sources):
        name = _name(source, index)
        try:
            checked.append(_check(source, name))
        except (NotAnImage, OSError) as error:
            why = _unreadable(error) if isinstance(error, OSError) else str(error)
            message = f"{why.rstrip('.')}."
            problems.append(Problem(field=f"references[{index}]", value=name, message=message))
    if problems:
        raise InvalidRequest(problems)
    return tuple(checked)


def _check(source: Path | bytes, name: str) -> Reference:
    with _window(source) as window:
        if window.size > MAX_BYTES:
            raise NotAnImage(
                f"it has {window.size} bytes, at most {MAX_BYTES} are accepted; "
                "scale it down or save it as a smaller JPEG"
            )
        header = header_of(window)
        _check_picture(window, header)
        return Reference(
            source=source,
            media_type=header.media_type,
            pixels=header.pixels,
            size=window.size,
            sha256=_sha256(window),
            name=name,
        )


def _check_picture(window: Window, header: Header) -> None:
    if header.pixels.area > MAX_AREA:
        raise NotAnImage(
            f"it has {header.pixels} px, at most {MAX_AREA // 10**6} megapixels are accepted; "
            "scale it down"
        )
    structure = structure_of(window)
    if structure.frames > 1:
        raise NotAnImage(f"it is animated ({structure.frames} frames); give a single picture")
    if structure.metadata > METADATA_LIMIT:
        raise NotAnImage("it carries more than 1 MB of metadata; strip it")


@contextmanager
def _window(source: Path | bytes) -> Iterator[Window]:
    if isinstance(source, bytes):
        yield Window.over(source)
    else:
        with open_window(source) as window:
            yield window


def _sha256(window: Window) -> str:
    digest = hashlib.sha256()
    for offset in range(0, window.size, BLOCK):
        digest.update(window.read(offset, min(BLOCK, window.size - offset)))
    return digest.hexdigest()


def _name(source: Path | bytes, index: int) -> str:
    """A short printable name: what the file is called, without where it lies."""
    if isinstance(source, bytes):
        return f"picture {index + 1}"
    plain = "".join(c if c.isprintable() else "?" for c in source.name)
    return plain[:100] or "?"


def _unreadable(error: OSError) -> str:
    # the system's sentence alone: str(error) would carry the whole path
    if error.errno == errno.ENOENT:
        return "there is no such file"
    return f"it cannot be read ({os.strerror(error.errno) if error.errno else error})"
