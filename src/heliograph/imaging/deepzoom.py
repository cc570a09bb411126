"""The geometry of a deep zoom: levels, tiles and their borders, as viewers such as OpenSeadragon
compute them from a DZI description.

Source: the Deep Zoom file format, schema http://schemas.microsoft.com/deepzoom/2008. Level 0 is one
pixel, the last level is the picture itself, each level has half the sides of the next one, rounded
up. Invariant: pure; the tiles of a level without their overlaps cover it once and whole.
"""

from dataclasses import dataclass

from heliograph.types import Pixels

SIDE = 510  # px; with its overlaps a tile has at most 512
OVERLAP = 1  # px of each neighbour, so that a viewer can scale without seams
FORMAT = "webp"


@dataclass(frozen=True, kw_only=True)
class Box:
    """A part of a level, in its pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """All levels of one picture."""

    pixels: Pixels  # of the picture, upright
    side: int = SIDE
    overlap: int = OVERLAP

    @property
    def last(self) -> int:
        """The number of the level that is the picture itself."""
        return (max(self.pixels.width, self.pixels.height) - 1).bit_length()

    def size(self, level: int) -> Pixels:
        """The pixels of a level from 0 to `last`."""
        scale = 1 << (self.last - level)
        return Pixels(-(-self.pixels.width // scale), -(-self.pixels.height // scale))

    def has(self, level: int, column: int, row: int) -> bool:
        """Whether there is such a tile."""
        if not 0 <= level <= self.last:
            return False
        columns, rows = grid(self.size(level), self.side)
        return 0 <= column < columns and 0 <= row < rows

    @property
    def description(self) -> str:
        """The DZI description, as XML."""
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
            f'Format="{FORMAT}" Overlap="{self.overlap}" TileSize="{self.side}">'
            f'<Size Width="{self.pixels.width}" Height="{self.pixels.height}"/></Image>\n'
        )


def grid(level: Pixels, side: int) -> tuple[int, int]:
    """How many columns and rows a level of these pixels has."""
    return -(-level.width // side), -(-level.height // side)


def box(level: Pixels, column: int, row: int, *, side: int, overlap: int) -> Box:
    """Where a tile lies in its level, overlaps included."""
    left, top = max(0, column * side - overlap), max(0, row * side - overlap)
    right = min(level.width, (column + 1) * side + overlap)
    bottom = min(level.height, (row + 1) * side + overlap)
    return Box(left=left, top=top, width=right - left, height=bottom - top)
