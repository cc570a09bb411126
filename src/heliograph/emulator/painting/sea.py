"""The open sea: far islands, and water from the horizon to the viewer.

Invariant: islands stand on the horizon row and are mirrored by the water below it.
"""

from pyvips import Image

from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.crest import crest
from heliograph.emulator.painting.drawing import polygon
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.water import paint_water


def paint_sea(plate: Image, stage: Stage) -> Image:
    """The plate with islands and sea."""
    return paint_water(_islands(plate, stage), stage, shore=stage.horizon, calm=0.8)


def paint_lake(plate: Image, stage: Stage) -> Image:
    """The plate with a calm lake below its land, when the brief has water in it."""
    if not stage.brief.water:
        return plate
    return paint_water(plate, stage, shore=stage.horizon + stage.unit * 0.1, calm=1.6)


def paint_quay(plate: Image, stage: Stage) -> Image:
    """The plate with the river that runs below a city's quay."""
    return paint_water(plate, stage, shore=stage.horizon, calm=1.3)


def _islands(plate: Image, stage: Stage) -> Image:
    roll = stage.dice("islands")
    palette, unit, row = stage.palette, stage.unit, stage.horizon
    sheet = stage.drawing(top=row - unit * 0.3, bottom=row)
    middle = stage.width / 2
    for depth, number in ((0.0, 3), (0.45, 2)):
        for _ in range(max(number, round(number * stage.width / unit / 1.6))):
            # Land keeps clear of the sun, so its path on the water starts at the horizon.
            x = roll.uniform(-0.05, 1.05) * stage.width
            if abs(x - stage.sun[0]) < unit * 0.22:
                x += unit * 0.5 * (1 if stage.sun[0] < middle else -1)
            wide = unit * roll.uniform(0.2, 0.5) * (1 - 0.3 * depth)
            tall = unit * roll.uniform(0.04, 0.11) * (1 + depth)
            controls = [(x - wide, row + 2), (x - wide * 0.4, row - tall * 0.7)]
            controls += [(x + wide * roll.uniform(-0.2, 0.2), row - tall)]
            controls += [(x + wide * 0.5, row - tall * 0.5), (x + wide, row + 2)]
            line = crest(controls, roll, rough=0.13, least=unit / 300)
            colour = mix(mix(palette.far, palette.sky[3], 0.35), palette.near, depth)
            foot = mix(colour, palette.sky[3], 0.5)
            fill = sheet.vertical(row - tall, row, [(0, colour, 1), (1, foot, 1)])
            sheet.shape(polygon(line), fill)
    return sheet.over(plate)
