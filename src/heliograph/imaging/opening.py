"""Open a picture of unknown honesty, upright, and put what is made of it into a new file.

Invariant: what is opened has passed the header and the structure checks, and is one still
picture; nothing is decoded before that.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyvips

from heliograph.errors import FinishError
from heliograph.imaging.header import header_of, sniff
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.steps.load import complaint, load
from heliograph.imaging.steps.orient import upright
from heliograph.imaging.steps.write import write
from heliograph.imaging.structure import Structure, structure_of
from heliograph.imaging.window import open_window
from heliograph.types import Header, Pixels

REFUSALS = (NotAnImage, OSError, pyvips.Error)  # what opening and decoding raise


def open_upright(path: Path, *, side: int | None = None) -> Any:
    """A lazy picture, to be read once from top to bottom, turned as EXIF says.

    Args:
        path: the file.
        side: no more than so many px a side will be needed, so a JPEG may be decoded smaller.

    Raises:
        NotAnImage: it is no picture that is accepted, or animated.
        OSError, pyvips.Error: it cannot be read or decoded.
    """
    header, _ = examine(path)
    longest = max(header.pixels.width, header.pixels.height)
    shrink = next((f for f in (8, 4, 2) if side and longest >= 2 * f * side), 1)
    with path.open("rb") as stream:
        return upright(load(stream.fileno(), header.format, shrink=shrink))


def examine(path: Path) -> tuple[Header, Structure]:
    """What a still picture is, without decoding it.

    Raises:
        NotAnImage: it is no picture that is accepted, or animated.
        OSError: it cannot be read.
    """
    with open_window(path) as window:
        header, structure = header_of(window), structure_of(window)
    if structure.frames > 1:
        raise NotAnImage(f"it is animated ({structure.frames} frames); give a single picture")
    return header, structure


@contextmanager
def making(what: str) -> Iterator[None]:
    """Around one job: a refusal on the way becomes an error of the tree.

    Raises:
        FinishError: a picture is refused, or the file cannot be written.
    """
    complaint()  # forget what earlier pictures left
    try:
        yield
        honest()
    except REFUSALS as error:
        raise FinishError(
            f"The {what} could not be made.",
            why=told(error),
            remedy="The pictures are untouched. Give whole, still JPEG, PNG or WebP pictures, "
            "and check the folder and the disk.",
        ) from error


def honest() -> None:
    """Raises pyvips.Error when a decoder has complained since it was last asked."""
    defect = complaint()
    if defect is not None:
        raise pyvips.Error(defect)


def told(error: Exception) -> str:
    """An error on one line of bearable length."""
    return " ".join(str(error).split())[:300]


def place(data: bytes, folder: Path, stem: str, suffix: str) -> Path:
    """Write `data` under a name that holds its hash, so that no two results share one.

    Raises:
        pyvips.Error: a decoder complained about what it was made of.
        OSError: the disk or the folder refused; nothing is left behind.
    """
    honest()
    return write(data, folder, f"{stem}-{hashlib.sha256(data).hexdigest()[:16]}{suffix}")


def check_made(data: bytes, expected: Pixels) -> None:
    """Raises NotAnImage when finished bytes do not state the pixels they should have."""
    made = sniff(data).pixels
    if made != expected:
        raise NotAnImage(f"it came out at {made} px instead of {expected} px")


def pixels_of(picture: Any) -> Pixels:
    return Pixels(picture.width, picture.height)


def reason(error: Exception) -> str:
    """Why a file is refused, without the folder it lies in."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"  # str(error) would carry the whole path
    return told(error)


def printable(path: Path) -> str:
    """A short file name for messages."""
    return "".join(c if c.isprintable() else "?" for c in path.name)[:100]
