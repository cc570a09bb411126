"""Trees: pines near and far, round crowns, and the woods they make.

Invariant: every tree stands on the row it is given and grows up from it.
"""

import math
import random

from pyvips import Image

from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.crest import crest, height_at, swell
from heliograph.emulator.painting.drawing import Drawing, Point, disc, polygon
from heliograph.emulator.painting.field import clamp, enlarge, streaks
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen


def pine(x: float, foot: float, height: float, roll: random.Random) -> str:
    """Path data of one pine."""
    tiers = max(5, min(15, int(height / 7)))
    broad = height * roll.uniform(0.15, 0.21)
    left: list[Point] = []
    right: list[Point] = []
    for tier in range(tiers):
        share = (tier + 1) / tiers
        row = foot - height * (1 - share * 0.93)
        for side, sign in ((left, -1), (right, 1)):
            reach = broad * share**0.9 * roll.uniform(0.7, 1.15)
            side.append((x + sign * reach, row + height * 0.02))
            side.append((x + sign * reach * roll.uniform(0.25, 0.5), row - height * 0.012))
    trunk = height * 0.018
    outline = [(x, foot - height), *right, (x + trunk, foot - height * 0.07), (x + trunk, foot)]
    outline += [(x - trunk, foot), (x - trunk, foot - height * 0.07), *reversed(left)]
    return polygon(outline)


def crown(x: float, foot: float, height: float, roll: random.Random) -> str:
    """Path data of one round-headed tree."""
    trunk = height * 0.018
    stem = [(x - trunk, foot), (x - trunk * 0.5, foot - height * 0.5)]
    stem += [(x + trunk * 0.5, foot - height * 0.5), (x + trunk, foot)]
    blobs = [polygon(stem)]
    for _ in range(34):
        angle, reach = roll.random() * math.tau, roll.random() ** 0.5 * height * 0.2
        size = height * roll.uniform(0.03, 0.085)
        across, down = x + math.cos(angle) * reach * 1.1, math.sin(angle) * reach
        blobs.append(disc(across, foot - height * 0.66 + down, size))
    return "".join(blobs)


def paint_foreground(plate: Image, stage: Stage) -> Image:
    """A dark bank along the bottom with pines at the sides: a frame for what lies beyond."""
    roll = stage.dice("foreground")
    unit = stage.unit
    base = stage.height - unit * 0.07
    sheet = stage.drawing(top=base - unit * 0.62)
    steps = max(4, round(stage.width / unit * 3))
    controls = [
        (stage.width * index / steps, base + roll.uniform(-0.03, 0.035) * unit)
        for index in range(-1, steps + 2)
    ]
    line = crest(swell(controls, 4), roll, rough=0.1, least=max(3.0, unit / 300))
    ground = stage.palette.ground
    sheet.shape(polygon([*line, (stage.width + 99, stage.height), (-99, stage.height)]), ground)
    path = []
    sides = {-1: roll.uniform(0.16, 0.3) * stage.width, 1: roll.uniform(0.1, 0.26) * stage.width}
    for side, reach in sides.items():
        for _ in range(max(6, int(reach / unit * 34))):
            away = roll.random() ** 1.3
            x = away * reach if side < 0 else stage.width - away * reach
            tall = unit * (0.44 * (1 - away) ** 1.2 + 0.07) * roll.uniform(0.55, 1.1)
            path.append(pine(x, height_at(line, x) + unit * 0.012, tall, roll))
    sheet.shape("".join(path), ground)
    return sheet.over(plate)


def paint_woods(plate: Image, stage: Stage) -> Image:
    """Row behind row of trees in mist, from pale to dark."""
    roll = stage.dice("woods")
    rows = 6 + round(min(4.0, max(0.0, stage.tall - 1) * 2))
    half = rows // 2
    far = stage.drawing(top=stage.horizon - stage.unit * 0.5)
    for row in range(half):
        _stand(far, stage, roll, depth=row / (rows - 1))
    plate = paint_shafts(far.over(plate), stage)
    near = stage.drawing(top=stage.horizon - stage.unit * 0.7)
    for row in range(half, rows):
        _stand(near, stage, roll, depth=row / (rows - 1))
    return roughen(plate, near, stage, name="bark", strength=0.12)


def _stand(sheet: Drawing, stage: Stage, roll: random.Random, *, depth: float) -> None:
    """One row of trees on its own ground."""
    palette, unit = stage.palette, stage.unit
    start, end = stage.horizon - unit * 0.12, stage.height - unit * 0.02
    foot = start + (end - start) * depth**1.25
    tall = unit * (0.12 + 0.62 * depth**2)
    swing = 0.05 * unit * (1.3 - depth)
    line = swell(
        [(stage.width * i / 6, foot + roll.uniform(-1, 1) * swing) for i in range(-1, 8)], 8
    )
    coloured = palette.name in {"autumn", "blossom"}
    colour = mix(palette.far, palette.ground, depth**0.8)
    if coloured and depth < 1:
        colour = mix(colour, palette.accent, 0.55 * roll.random())
    mist = mix(palette.sky[3], colour, 0.12 + 0.88 * depth**2)
    fill = sheet.vertical(foot - tall, foot + unit * 0.16, [(0, colour, 1), (1, mist, 1)])
    body = polygon([*line, (stage.width + 99, stage.height), (-99, stage.height)])
    sheet.shape(body + _row(line, roll, tall=tall, round_headed=coloured), fill)


def _row(line: list[Point], roll: random.Random, *, tall: float, round_headed: bool) -> str:
    x, path = line[0][0], []
    while x < line[-1][0]:
        draw = crown if round_headed and roll.random() < 0.55 else pine
        size = tall * roll.uniform(0.5, 1.12) * (0.8 if draw is crown else 1)
        path.append(draw(x, height_at(line, x) + tall * 0.05, size, roll))
        x += tall * roll.uniform(0.06, 0.3) * (1 + 2.2 * (roll.random() < 0.12))
    return "".join(path)


def paint_shafts(plate: Image, stage: Stage) -> Image:
    """Mist lit from the side of the sun, drifting between the rows."""
    width, height = math.ceil(stage.width / 8), math.ceil(stage.height / 8)
    grid = Image.xyz(width, height).cast("float")
    drift = streaks(width, height, cell=stage.unit / 24, seed=stage.number("shafts"), stretch=3)
    low = clamp((grid[1] * 8 - stage.horizon + stage.unit * 0.3) * (2 / stage.unit))
    off = (grid[0] * 8 - stage.sun[0]) * (1 / stage.unit)
    share = clamp(low * (drift * 0.3 + 0.5) * (off * off * -1.2).exp() * 0.9)
    veil = enlarge((share * 200).cast("uchar").copy_memory(), stage.width, stage.height)
    light = mix(stage.palette.glow, stage.palette.sky[3], 0.5)
    colour = plate.new_from_image([round(part) for part in light]).copy(interpretation="srgb")
    return veil.ifthenelse(colour, plate, blend=True).copy_memory()
