"""Changes a given picture the way a prompt asks.

Invariant: the result shows the source, cropped to the size asked, visibly changed.
"""

import math
from collections.abc import Callable, Sequence

from pyvips import Error, Image

from heliograph.emulator.painting.colour import Colour
from heliograph.emulator.painting.drawing import disc
from heliograph.emulator.painting.field import clamp, enlarge
from heliograph.emulator.painting.mark import band_height, read_pixels
from heliograph.emulator.painting.silhouette import SILHOUETTES
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.thing import paint_things
from heliograph.emulator.painting.weather import paint_mist, paint_weather, snowfall

Change = Callable[[Image, Stage], Image]
_MOST_PIXELS = 120_000_000
_AREA_SHARE = 0.0005  # of the pixels: the outline of a small area


def paint_edit(source: bytes, stage: Stage) -> Image:
    """A plate of the source with the brief's changes made."""
    plate = _fitted(_opened(source), stage)
    changes = [_CHANGES[name] for name in stage.brief.changes]
    asked = changes or stage.brief.things or stage.brief.weathers or stage.brief.words
    for change in changes or [_grade]:
        plate = change(plate, stage)
    if "remove" not in stage.brief.changes:
        # What is to be removed is named too, and must not be painted.
        plate = paint_things(plate, stage)
    plate = paint_weather(paint_mist(plate, stage), stage)
    return plate if asked else _birds(plate, stage)


def source_of(sources: Sequence[bytes]) -> bytes:
    """The picture to edit: the last one, unless it only shows which area of another is meant.

    People show these models an area by painting it in magenta on a copy.
    """
    return next((s for s in reversed(sources) if not _shows_area(s)), sources[-1])


def _shows_area(source: bytes) -> bool:
    try:
        image = Image.thumbnail_buffer(source, 1024, size="down").colourspace("srgb")
    except Error:
        return False  # whoever opens it says what is wrong with it
    if image.bands < 3:
        return False
    red, green, blue = image.bandsplit()[:3]
    magenta = (red > 215) & (green < 90) & (blue > 215)
    return bool(magenta.avg() >= 255 * _AREA_SHARE)


def _opened(source: bytes) -> Image:
    try:
        image = Image.new_from_buffer(source, "")
        if image.width * image.height > _MOST_PIXELS:
            raise ValueError(f"the source image is too large: {image.width}×{image.height} pixels")
        image = image.autorot().colourspace("srgb").cast("uchar")
        if image.hasalpha():
            image = image.flatten(background=[255, 255, 255])
        return _unmarked(image.copy_memory())
    except Error as error:
        reason = (str(error).strip().splitlines() or ["unknown format"])[0]
        raise ValueError(f"the source image cannot be decoded: {reason}") from error


def _unmarked(image: Image) -> Image:
    """The picture without an earlier caption and strip: the rows above them, turned over."""
    if read_pixels(image) is None:
        return image
    rows = min(image.height // 2, band_height(image.width, image.height))
    above = image.crop(0, image.height - 2 * rows, image.width, rows)
    return image.insert(above.flipver(), 0, image.height - rows)


def _fitted(image: Image, stage: Stage) -> Image:
    if (image.width, image.height) == (stage.width, stage.height):
        return image
    scale = max(stage.width / image.width, stage.height / image.height)
    sized = image.resize(scale, kernel="linear" if scale > 1 else "cubic")
    left = max(0, (sized.width - stage.width) // 2)
    top = max(0, (sized.height - stage.height) // 2)
    # Rounding may leave the picture a pixel short; its edge is repeated there.
    cut = sized.crop(left, top, min(stage.width, sized.width), min(stage.height, sized.height))
    return cut.embed(0, 0, stage.width, stage.height, extend="copy").copy_memory()


def _recolour(plate: Image, rows: list[list[float]], offset: Colour = (0, 0, 0)) -> Image:
    graded = plate.recomb(Image.new_from_array(rows)) + list(offset)
    return graded.cast("uchar").copy(interpretation="srgb").copy_memory()


def _grade(plate: Image, _: Stage) -> Image:
    """Teal in the shadows, amber in the lights: a change seen at once, and no more."""
    return _recolour(
        plate, [[1.12, 0.06, -0.08], [0.02, 1.0, 0.0], [-0.1, 0.04, 0.92]], (4, -4, 14)
    )


def _warm(plate: Image, stage: Stage) -> Image:
    warmed = _recolour(plate, [[1.1, 0.1, 0], [0.02, 0.96, 0], [0, 0, 0.7]], (10, 2, -4))
    return _glow(warmed, stage, (255, 170, 80), 0.55)


def _cool(plate: Image, _: Stage) -> Image:
    return _recolour(plate, [[0.76, 0, 0.04], [0, 0.96, 0.06], [0, 0.08, 1.12]], (-4, 2, 14))


def _bright(plate: Image, stage: Stage) -> Image:
    lit = _recolour(plate, [[1.12, 0, 0], [0, 1.12, 0], [0, 0, 1.1]], (22, 22, 20))
    return _glow(lit, stage, (255, 250, 230), 0.35)


def _vivid(plate: Image, _: Stage) -> Image:
    strong, less = 1.62, -0.31
    return _recolour(plate, [[strong, less, less], [less, strong, less], [less, less, strong]])


def _vintage(plate: Image, _: Stage) -> Image:
    rows = [[0.5, 0.38, 0.1], [0.3, 0.46, 0.12], [0.22, 0.3, 0.3]]
    return _recolour(plate, rows, (26, 20, 12))


def _mono(plate: Image, _: Stage) -> Image:
    row = [0.34, 0.56, 0.16]
    return _recolour(plate, [row, row, row], (-6, -6, -6))


def _night(plate: Image, stage: Stage) -> Image:
    """Dark and blue, with a moon and stars where the picture leaves its sky."""
    dark = _recolour(plate, [[0.24, 0.06, 0.02], [0.05, 0.3, 0.07], [0.06, 0.14, 0.42]], (2, 5, 18))
    roll, sheet = stage.dice("edit night"), stage.drawing(bottom=stage.height * 0.45)
    for _ in range(150):
        x, y = roll.random() * stage.width, roll.random() ** 1.7 * stage.height * 0.42
        size = max(0.5, stage.unit * roll.uniform(0.0006, 0.0018))
        sheet.shape(disc(x, y, size), (255, 255, 255), 0.85 * (1 - y / (stage.height * 0.45)))
    x, y, radius = stage.width * 0.78, stage.height * 0.15, stage.unit * 0.042
    pale: Colour = (246, 242, 226)
    halo = sheet.radial(x, y, radius * 5, [(0, pale, 0.45), (0.3, pale, 0.14), (1, pale, 0)])
    sheet.shape(disc(x, y, radius * 5), halo)
    sheet.shape(disc(x, y, radius), pale)
    return sheet.over(dark)


def _snow(plate: Image, stage: Stage) -> Image:
    rows = [[0.66, 0.16, 0.08], [0.1, 0.74, 0.1], [0.08, 0.16, 0.78]]
    return snowfall(_recolour(plate, rows, (26, 32, 42)), stage)


def _remove(plate: Image, stage: Stage) -> Image:
    """The middle of the picture covered, softly, by what lies beside it at the same height."""
    width, height = math.ceil(stage.width / 8), math.ceil(stage.height / 8)
    grid = Image.xyz(width, height).cast("float")
    reach = stage.unit / 8 * 0.24
    across = (grid[0] - width * 0.56) * (1 / reach)
    down = (grid[1] - height * 0.58) * (1 / reach)
    share = clamp(((across * across + down * down) * -1 + 1.3) * 1.2)
    mask = enlarge((share * 255).cast("uchar").copy_memory(), stage.width, stage.height)
    beside = plate.wrap(x=round(min(stage.width * 0.4, stage.unit * 0.62)), y=0)
    return mask.ifthenelse(beside, plate, blend=True).copy_memory()


def _glow(plate: Image, stage: Stage, colour: Colour, strength: float) -> Image:
    sheet = stage.drawing()
    x, reach = stage.sun[0], max(stage.width, stage.height) * 0.7
    y = min(stage.sun[1], stage.height * 0.3)
    fill = sheet.radial(x, y, reach, [(0, colour, strength), (1, colour, 0)])
    sheet.shape(f"M0 0h{stage.width}v{stage.height}H0z", fill)
    return sheet.over(plate)


def _birds(plate: Image, stage: Stage) -> Image:
    roll, sheet = stage.dice("edit birds"), stage.drawing(bottom=stage.height * 0.5)
    x, y = stage.width * roll.uniform(0.3, 0.7), stage.height * 0.2
    for index in range(9):
        away = (index + 1) // 2 * (1 if index % 2 else -1)
        size = stage.unit * 0.0018 * roll.uniform(0.8, 1.15)
        place = (x + away * stage.unit * 0.04, y + abs(away) * stage.unit * 0.017, size, size)
        sheet.placed(SILHOUETTES["birds"], (22, 24, 30), place)
    return sheet.over(plate)


_CHANGES: dict[str, Change] = {
    "mono": _mono,
    "night": _night,
    "snow": _snow,
    "warm": _warm,
    "cool": _cool,
    "bright": _bright,
    "vivid": _vivid,
    "vintage": _vintage,
    "remove": _remove,
}
