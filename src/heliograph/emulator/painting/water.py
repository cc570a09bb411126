"""Water: what stands above it, turned over, broken by ripples, with the sun's path on it.

Invariant: water is painted after what it mirrors and before what floats on it.
"""

import math

from pyvips import Image, Interpolate

from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.field import clamp, streaks
from heliograph.emulator.painting.sky import gradient_rows
from heliograph.emulator.painting.stage import Stage


def paint_water(plate: Image, stage: Stage, *, shore: float, calm: float = 1.0) -> Image:
    """The plate with water from the shore row down; `calm` above 1 mirrors more clearly."""
    top = max(8, min(stage.height - 8, int(shore)))
    depth = stage.height - top
    mirror = _mirror(plate, top, depth)
    waves = _waves(stage, depth).copy_memory()
    grid = Image.xyz(stage.width, depth).cast("float")
    # Ripples near the viewer are larger: the same wave covers more of the plate there.
    near = grid[1] * (1 / depth) + 0.04
    swing = stage.unit * 0.05 / calm
    bent = (waves * near * swing * 0.35).bandjoin(waves * near * swing)
    rippled = _read(mirror, grid + bent)
    # Fixed point (128 for 1) and a mask: three bands of floats would cost three times as much.
    shade = (waves * 6.4 + 95).cast("uchar")
    shaded = (((rippled * shade) >> 7) + _depths(stage, depth)).cast("uchar")
    glitter = clamp(waves * 1.9 - 0.3) * (near * 0.6 + 0.4) * _path(stage, grid, depth)
    light = mix(stage.palette.sun, stage.palette.glow, 0.35)
    mask = (glitter * 235).cast("uchar")
    lit = mask.ifthenelse([round(part) for part in light], shaded, blend=True)
    return plate.insert(lit.copy(interpretation="srgb"), 0, top).copy_memory()


def _mirror(plate: Image, top: int, depth: int) -> Image:
    # A few rows more than are seen, for the ripples at the viewer's feet to reach into.
    rows = int(depth * 1.12) + 2
    seen = min(top, max(rows, int(top * 0.8)))
    turned = plate.crop(0, top - seen, plate.width, seen).flipver()
    if seen > rows:
        # Seen at a slant, the mirrored land is shorter than the land itself.
        turned = turned.resize(1, vscale=rows / seen, kernel="linear")
    return turned.embed(0, 0, plate.width, rows, extend="mirror").copy_memory()


def _waves(stage: Stage, depth: int) -> Image:
    width = math.ceil(stage.width / 2)
    rows = math.ceil(depth / 2)
    tall = streaks(
        width, rows, cell=max(4.0, stage.unit * 0.018), seed=stage.number("waves"), stretch=9
    )
    grid = Image.xyz(width, rows).cast("float")
    # Squeeze the far rows: the field is read faster near the shore than at the viewer's feet.
    index = grid[0].bandjoin((grid[1] * (1 / rows)) ** 0.6 * (rows - 1))
    # Ripples are finer than a smooth doubling would show; plain zoom is enough.
    return _read(tall, index).copy_memory().zoom(2, 2).crop(0, 0, stage.width, depth)


def _read(image: Image, index: Image) -> Image:
    """The image at the places of an index, held inside it: outside is black otherwise."""
    inside = (
        index[0]
        .clamp(min=0, max=image.width - 2)
        .bandjoin(index[1].clamp(min=0, max=image.height - 2))
    )
    return image.mapim(inside, interpolate=Interpolate.new("bilinear"))


def _path(stage: Stage, grid: Image, depth: int) -> Image:
    spread = (grid[1] * (0.28 / depth) + 0.05) * stage.unit
    off = (grid[0] - stage.sun[0]) / spread
    return (off * off * -0.5).exp()


def _depths(stage: Stage, depth: int) -> Image:
    palette = stage.palette
    far, near = mix(palette.sky[3], palette.near, 0.3), mix(palette.near, palette.sky[0], 0.5)
    stops = [(0.0, mix((0, 0, 0), far, 0.24)), (1.0, mix((0, 0, 0), near, 0.2))]
    return gradient_rows(stops, stage.width, depth).cast("uchar")
