"""What hangs in the air: mist about the horizon, snow and rain through the whole picture.

Invariant: snow and rain fall over all of the scene, and under the lettering; mist lies
behind the foreground.
"""

import math

from pyvips import Image

from heliograph.emulator.painting.colour import WHITE
from heliograph.emulator.painting.drawing import disc
from heliograph.emulator.painting.field import clamp, enlarge, streaks
from heliograph.emulator.painting.stage import Stage


def paint_weather(plate: Image, stage: Stage) -> Image:
    """The plate under the weather of the brief."""
    if "snow" in stage.brief.weathers:
        plate = snowfall(plate, stage)
    if "rain" in stage.brief.weathers:
        plate = _rain(plate, stage)
    return plate


def snowfall(plate: Image, stage: Stage) -> Image:
    """Flakes near and far; the near ones large and out of focus."""
    roll = stage.dice("flakes")
    unit, sheet = stage.unit, stage.drawing()
    area = stage.width * stage.height / unit**2
    for size, opacity, number in ((0.0016, 0.8, 330), (0.0032, 0.75, 110), (0.007, 0.35, 26)):
        flakes = "".join(
            disc(
                roll.random() * stage.width,
                roll.random() * stage.height,
                max(0.5, size * unit * roll.uniform(0.6, 1.4)),
            )
            for _ in range(min(3000, int(number * area)))
        )
        sheet.shape(flakes, WHITE, opacity)
    return sheet.over(plate)


def _rain(plate: Image, stage: Stage) -> Image:
    roll = stage.dice("drops")
    unit, sheet = stage.unit, stage.drawing()
    area = stage.width * stage.height / unit**2
    for length, opacity, number in ((0.03, 0.22, 260), (0.06, 0.3, 90)):
        drops = []
        for _ in range(min(2400, int(number * area))):
            x, y = roll.random() * stage.width * 1.1, roll.random() * stage.height
            fall = length * unit * roll.uniform(0.6, 1.3)
            drops.append(f"M{x:.1f} {y:.1f}l{-fall * 0.18:.1f} {fall:.1f}")
        sheet.line("".join(drops), (214, 224, 236), max(0.5, unit * 0.0011), opacity)
    return sheet.over(plate)


def paint_mist(plate: Image, stage: Stage) -> Image:
    """The plate with mist lying about the horizon, when the brief has any."""
    if "mist" not in stage.brief.weathers:
        return plate
    width, height = math.ceil(stage.width / 8), math.ceil(stage.height / 8)
    grid = Image.xyz(width, height).cast("float")
    drift = streaks(width, height, cell=stage.unit / 20, seed=stage.number("mist"), stretch=4)
    away = (grid[1] * 8 - stage.horizon - stage.unit * 0.06) * (2.6 / stage.unit)
    share = clamp((drift * 0.35 + 0.75) * (away * away * -1.0).exp())
    veil = enlarge((share * 165).cast("uchar").copy_memory(), stage.width, stage.height)
    colour = plate.new_from_image([round(part) for part in stage.palette.sky[3]])
    return veil.ifthenelse(colour.copy(interpretation="srgb"), plate, blend=True).copy_memory()
