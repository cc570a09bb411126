"""A poster: a great sun, bands of hills, a margin; paper rather than air.

Invariant: the flat shapes leave the upper part calm, where the lettering goes.
"""

from pyvips import Image

from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.crest import swell
from heliograph.emulator.painting.drawing import disc, polygon, rectangle
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen


def paint_poster(plate: Image, stage: Stage) -> Image:
    """The plate as printed paper with rays, a sun and hills."""
    roll = stage.dice("poster")
    palette, unit, width, height = stage.palette, stage.unit, stage.width, stage.height
    sheet = stage.drawing()
    sheet.shape(rectangle(0, 0, width, height), mix(palette.sky[2], palette.sky[3], 0.4))
    x, y, radius = width / 2, height * 0.66, unit * 0.3
    reach = width + height
    ray = mix(palette.sky[2], palette.glow, 0.4)
    for index in range(0, 36, 2):
        fan = [_spoke(x, y, reach, (index + step) / 36) for step in (0, 1)]
        sheet.shape(polygon([(x, y), *fan]), ray, 0.35)
    sheet.shape(disc(x, y, radius * 1.18), palette.glow, 0.45)
    fill = sheet.vertical(y - radius, y + radius, [(0, palette.sun, 1), (1, palette.accent, 1)])
    sheet.shape(disc(x, y, radius), fill)
    bands = 5
    for band in range(bands):
        depth = band / (bands - 1)
        foot = y + (height - y) * (0.1 + 0.75 * depth)
        steps = max(4, round(width / unit * 4))
        wave = [
            (width * i / steps, foot + roll.uniform(-0.08, 0.08) * unit * (1.2 - depth * 0.5))
            for i in range(-1, steps + 2)
        ]
        colour = mix(mix(palette.accent, palette.far, 0.45), palette.ground, depth**0.7)
        sheet.shape(polygon([*swell(wave), (width + 9, height + 9), (-9, height + 9)]), colour)
    return roughen(plate, sheet, stage, name="paper", strength=0.06)


def paint_margin(plate: Image, stage: Stage) -> Image:
    """A pale margin all round, as posters are printed."""
    sheet = stage.drawing()
    edge, width, height = stage.unit * 0.035, stage.width, stage.height
    inner = f"M{edge} {edge}V{height - edge}H{width - edge}V{edge}Z"
    paper = mix(stage.palette.cloud, (255, 250, 240), 0.6)
    sheet.shape(rectangle(-1, -1, width + 2, height + 2) + inner, paper)
    return sheet.over(plate)


def _spoke(x: float, y: float, reach: float, turn: float) -> tuple[float, float]:
    import math

    return x + math.cos(turn * math.tau) * reach, y + math.sin(turn * math.tau) * reach
