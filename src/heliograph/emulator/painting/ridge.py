"""Mountains: ridges behind ridges, each paler with distance, lit on the side of the sun.

Invariant: ridges are drawn from the farthest to the nearest, and each fades into haze at
its foot, so any number of them reads as depth.
"""

import random

from pyvips import Image

from heliograph.emulator.painting.colour import WHITE, Colour, mix
from heliograph.emulator.painting.crest import crest
from heliograph.emulator.painting.drawing import Drawing, Point, polygon
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen


def paint_ridges(plate: Image, stage: Stage) -> Image:
    """The far ridges, soft; then the near ones, rough with rock."""
    roll = stage.dice("ridges")
    layers = 4 + round(min(3.0, max(0.0, stage.tall - 1.0)))
    split = layers - 2
    spread = min(stage.height - stage.horizon, stage.unit * (0.34 + 0.3 * max(0.0, stage.tall - 1)))
    reach = min(stage.horizon, stage.unit * 1.15)
    for first, last in ((0, split), (split, layers)):
        sheet = stage.drawing(top=stage.horizon - reach * 0.75)
        for layer in range(first, last):
            depth = layer / (layers - 1)
            foot = stage.horizon + spread * depth**1.4
            _ridge(sheet, stage, roll, depth=depth, foot=foot, reach=reach)
        if first == 0:
            plate = sheet.over(plate)
        else:
            plate = roughen(plate, sheet, stage, name="rock", strength=0.22)
    return plate


def _ridge(
    sheet: Drawing, stage: Stage, roll: random.Random, *, depth: float, foot: float, reach: float
) -> None:
    palette = stage.palette
    tall = reach * (0.44 - 0.26 * depth) * roll.uniform(0.85, 1.15)
    stride = stage.unit * (0.5 - 0.14 * depth)
    controls = _peaks(stage, roll, foot=foot, tall=tall, stride=stride)
    line = crest(controls, roll, rough=0.16, least=max(2.0, stage.unit / 500))
    body = mix(palette.far, palette.near, depth**0.85)
    haze = mix(palette.sky[3], body, 0.25 + 0.5 * depth)
    top = min(y for _, y in controls)
    fill = sheet.vertical(
        top, foot + tall * 0.4, [(0, body, 1), (0.5, mix(body, haze, 0.4), 1), (1, haze, 1)]
    )
    sheet.shape(polygon([*line, (stage.width + 9, stage.height), (-9, stage.height)]), fill)
    _faces(sheet, stage, controls, line, roll, body=body, depth=depth, tall=tall)


def _peaks(
    stage: Stage, roll: random.Random, *, foot: float, tall: float, stride: float
) -> list[Point]:
    x = -stride * roll.uniform(0.4, 1.2)
    points: list[Point] = []
    while x < stage.width + stride:
        # Every peak is followed by a saddle; heights vary so that one of them leads.
        height = roll.uniform(0.45, 1.0) ** 1.2
        points.append((x, foot - tall * height))
        x += stride * roll.uniform(0.2, 0.7) * (0.5 + height)
        points.append((x, foot - tall * height * roll.uniform(0.2, 0.62)))
        x += stride * roll.uniform(0.2, 0.7) * (0.5 + height)
    return points


def _faces(
    sheet: Drawing,
    stage: Stage,
    controls: list[Point],
    line: list[Point],
    roll: random.Random,
    *,
    body: Colour,
    depth: float,
    tall: float,
) -> None:
    palette = stage.palette
    snowy = palette.name == "winter" or "snow" in stage.brief.weathers
    light = mix(body, WHITE if snowy else palette.glow, 0.75 if snowy else 0.5)
    for index in range(2, len(controls) - 2, 2):
        peak = controls[index]
        right = stage.sun[0] > peak[0]
        valley = controls[index + 1] if right else controls[index - 1]
        low, high = sorted((peak[0], valley[0]))
        edge = [point for point in line if low <= point[0] <= high]
        if not right:
            edge.reverse()
        drop = tall * 0.7
        inner = (peak[0] + (peak[0] - valley[0]) * 0.12, peak[1] + drop)
        back = _spur(inner, peak, roll, swing=drop * 0.16)
        fade = [(0.0, light, 0.8 if snowy else 0.62 - 0.2 * depth), (0.9, light, 0.0)]
        fill = sheet.vertical(peak[1], peak[1] + drop, fade)
        sheet.shape(polygon([peak, *edge, *back]), fill)


def _spur(start: Point, end: Point, roll: random.Random, *, swing: float) -> list[Point]:
    """The broken line where a lit face meets a shaded one, from the foot up to the peak."""
    points = []
    drift = 0.0
    for index in range(28):
        share = index / 28
        drift = drift * 0.55 + roll.gauss(0, 0.5) * swing
        reach = drift * (1 - share) ** 0.7
        points.append(
            (start[0] + (end[0] - start[0]) * share + reach, start[1] + (end[1] - start[1]) * share)
        )
    return points
