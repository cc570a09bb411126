"""Where a picture really ends, by walking its structure without decoding it.

A cut file and bytes behind the end show here in milliseconds; damage inside the picture data of a
JPEG or WebP does not, for that an Imager decodes it.
Invariant: `ending` never raises for what the bytes are, only when they cannot be read.
"""

from dataclasses import dataclass
from pathlib import Path

from heliograph.imaging.formats import recognise
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.window import Window, open_window


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What the walk over a whole picture met."""

    frames: int
    metadata: int  # bytes, after inflation as far as that is bounded
    trailing: int  # bytes behind the end


@dataclass(frozen=True, kw_only=True)
class Ending:
    """Whether a file holds its picture to the end."""

    complete: bool
    trailing: int = 0  # bytes behind the end of the picture
    defect: str | None = None  # why it is not complete


def structure_of(window: Window) -> Structure:
    """Walk the picture in a window to its end.

    Raises:
        NotAnImage: it is none, or its structure does not hold.
    """
    frames, metadata, end = recognise(window).walk(window)
    return Structure(frames=frames, metadata=metadata, trailing=window.size - end)


def ending(path: Path) -> Ending:
    """Whether the picture in a file is complete, and what follows it.

    Raises:
        OSError: the file cannot be read.
    """
    with open_window(path) as window:
        try:
            return Ending(complete=True, trailing=structure_of(window).trailing)
        except NotAnImage as error:
            return Ending(complete=False, defect=str(error))
