"""Desert: dunes whose crests part light from shadow.

Invariant: dunes are drawn from the farthest to the nearest; the lit side faces the sun.
"""

import random

from pyvips import Image

from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.crest import swell
from heliograph.emulator.painting.drawing import Drawing, Point, polygon
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen


def paint_dunes(plate: Image, stage: Stage) -> Image:
    """A field of dunes from the horizon to the viewer's feet."""
    roll = stage.dice("dunes")
    rows = 6 + round(min(5.0, max(0.0, stage.tall - 1) * 3))
    start, end = stage.horizon, stage.height - stage.unit * 0.1
    sheet = stage.drawing(top=start - stage.unit * 0.2)
    for row in range(rows):
        depth = row / (rows - 1)
        _dune(sheet, stage, roll, depth=depth, foot=start + (end - start) * depth**1.5)
    return roughen(plate, sheet, stage, name="sand", strength=0.09, stretch=4)


def _dune(sheet: Drawing, stage: Stage, roll: random.Random, *, depth: float, foot: float) -> None:
    palette, unit = stage.palette, stage.unit
    tall = unit * (0.035 + 0.16 * depth)
    stride = unit * (0.35 + 0.75 * depth)
    light = mix(mix(palette.far, palette.sky[3], 0.45 * (1 - depth)), palette.glow, 0.12)
    shade = mix(palette.far, palette.near, 0.3 + 0.6 * depth)
    line, tops = _outline(stage, roll, foot=foot, tall=tall, stride=stride)
    top = min(y for _, y in line)
    deep = mix(light, palette.near, 0.25 + 0.3 * depth)
    fill = sheet.vertical(top, foot + tall * 2.2, [(0, light, 1), (1, deep, 1)])
    sheet.shape(polygon([*line, (stage.width + 9, stage.height), (-9, stage.height)]), fill)
    for peak in tops:
        _shadow(sheet, stage, roll, line=line, peak=peak, tall=tall, stride=stride, colour=shade)


def _outline(
    stage: Stage, roll: random.Random, *, foot: float, tall: float, stride: float
) -> tuple[list[Point], list[Point]]:
    x = -stride * roll.uniform(0.3, 1.0)
    controls: list[Point] = []
    tops: list[Point] = []
    while x < stage.width + stride:
        top = (x, foot - tall * roll.uniform(0.55, 1.0))
        tops.append(top)
        controls += [top, (x + stride * roll.uniform(0.4, 0.6), foot - tall * roll.uniform(0, 0.2))]
        x += stride * roll.uniform(0.85, 1.3)
    return swell(controls, 14), tops


def _shadow(
    sheet: Drawing,
    stage: Stage,
    roll: random.Random,
    *,
    line: list[Point],
    peak: Point,
    tall: float,
    stride: float,
    colour: tuple[float, float, float],
) -> None:
    """The slip face: bounded by the crest above and an S-curve below, away from the sun."""
    away = 1 if stage.sun[0] < peak[0] else -1
    reach = stride * roll.uniform(0.42, 0.55)
    edge = [point for point in line if 0 <= (point[0] - peak[0]) * away <= reach]
    if len(edge) < 3:
        return
    edge.sort(key=lambda point: (point[0] - peak[0]) * away)
    foot = edge[-1]
    knee = (peak[0] + away * reach * 0.12, peak[1] + tall * 0.55)
    toe = (peak[0] - away * reach * 0.22, peak[1] + tall * 1.5)
    far = (foot[0] + away * reach * 0.1, toe[1] + tall * 0.5)
    curve = swell([peak, knee, toe, (toe[0] + away * reach * 0.3, toe[1] + tall * 0.5)], 8)
    fill = sheet.vertical(
        peak[1], far[1], [(0, colour, 0.95), (0.35, colour, 0.7), (0.85, colour, 0)]
    )
    sheet.shape(polygon([*reversed(curve), *edge, far]), fill)
