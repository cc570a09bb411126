"""Cut one level of a deep zoom into its tiles.

Invariant: a folder that is returned has every tile of the level; of one that could not be finished
nothing is left.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from heliograph.imaging.deepzoom import FORMAT, box, grid
from heliograph.imaging.opening import making, open_upright
from heliograph.imaging.steps.convert import convert
from heliograph.imaging.steps.order import Order
from heliograph.imaging.steps.resize import resize
from heliograph.types import ExportSpec, Pixels

QUALITY = 85
_KEEP_NOTHING = 0
_EFFORT = 2  # a level of a 4K picture has 77 tiles, and somebody waits for it


def tiles(picture: Path, pixels: Pixels, folder: Path, *, side: int, overlap: int) -> Path:
    """Write the tiles of the level with these pixels into a new folder in `folder`.

    Raises:
        FinishError: it cannot be made.
    """
    with making("level of tiles"):
        made = Path(tempfile.mkdtemp(dir=folder, prefix="tiles-"))
        try:
            _cut(_level(picture, pixels), made, side=side, overlap=overlap)
        except BaseException:
            shutil.rmtree(made, ignore_errors=True)
            raise
    return made


def _level(path: Path, pixels: Pixels) -> Any:
    # a format without inks, so that none are left
    order = Order(spec=ExportSpec(name="level", srgb=True), format="png", target=pixels)
    picture = open_upright(path, side=max(pixels.width, pixels.height))
    picture = convert(resize(picture, order), order).colourspace("srgb").cast("uchar")
    return picture.copy_memory()  # tiles are not cut from top to bottom


def _cut(level: Any, folder: Path, *, side: int, overlap: int) -> None:
    pixels = Pixels(level.width, level.height)
    columns, rows = grid(pixels, side)
    for row in range(rows):
        for column in range(columns):
            part = box(pixels, column, row, side=side, overlap=overlap)
            tile = level.crop(part.left, part.top, part.width, part.height)
            data = bytes(tile.webpsave_buffer(Q=QUALITY, effort=_EFFORT, keep=_KEEP_NOTHING))
            (folder / f"{column}_{row}.{FORMAT}").write_bytes(data)
