"""Why bytes are refused before any decoder sees them.

    NotAnImage       these bytes are not a picture that Heliograph accepts
    ├── Foreign      another kind of file, named where it is known
    ├── Broken       begins like an accepted picture, but its structure does not hold
    └── Bomb         too many pixels, or none, whatever else it is

Invariant: messages are fragments without file names ("it is a GIF; …"), so that callers can put
them behind a name or a field.
"""

from heliograph.types import Pixels

MAX_SIDE = 16_384  # px
MAX_AREA = 128_000_000  # px


class NotAnImage(ValueError):
    """These bytes are refused; `looks_like` names what they seem to be, when that is known."""

    def __init__(self, reason: str, *, looks_like: str | None = None) -> None:
        super().__init__(reason)
        self.looks_like = looks_like


class Foreign(NotAnImage):
    """Another kind of file."""


class Broken(NotAnImage):
    """The beginning of an accepted picture whose structure does not hold."""


class Bomb(NotAnImage):
    """A header that promises no pixels, or more than are safe to decode."""


def safe_pixels(width: int, height: int, looks_like: str) -> Pixels:
    """The size from a header, when it is safe to decode.

    Raises:
        Bomb: a side is 0 or above 16,384 px, or the area is above 128 megapixels.
    """
    if width < 1 or height < 1:
        raise Bomb(f"its size is {width}x{height} px", looks_like=looks_like)
    if max(width, height) > MAX_SIDE or width * height > MAX_AREA:
        raise Bomb(
            f"its size is {width}x{height} px, above the safe limit of {MAX_SIDE} px a side "
            f"and {MAX_AREA // 10**6} megapixels",
            looks_like=looks_like,
        )
    return Pixels(width, height)
