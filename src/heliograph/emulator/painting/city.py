"""A city: towers behind towers, lit windows, signs in neon.

Invariant: buildings stand on one quay row, so water may mirror them below it.
"""

import random

from pyvips import Image

from heliograph.emulator.painting.colour import BLACK, Colour, mix
from heliograph.emulator.painting.drawing import Drawing, disc, rectangle
from heliograph.emulator.painting.field import enlarge
from heliograph.emulator.painting.stage import Stage


def paint_city(plate: Image, stage: Stage) -> Image:
    """The skyline above the quay, far towers pale, near towers lit, lights blooming."""
    roll = stage.dice("city")
    quay = stage.horizon
    reach = min(quay * 0.7, stage.unit * (0.62 + 0.5 * max(0.0, min(2.0, stage.tall - 1))))
    sheet = stage.drawing(top=quay - reach * 1.3, bottom=quay + stage.unit * 0.02)
    lights = stage.drawing(top=quay - reach * 1.3, bottom=quay + stage.unit * 0.02)
    for depth, tall, broad in (
        (0.0, 0.66, 0.07),
        (0.35, 0.95, 0.1),
        (0.7, 0.72, 0.12),
        (1.0, 0.36, 0.15),
    ):
        _row(sheet, lights, stage, roll, depth=depth, tall=reach * tall, broad=stage.unit * broad)
    plate = sheet.over(plate)
    return bloom(plate, lights, stage)


def bloom(plate: Image, lights: Drawing, stage: Stage) -> Image:
    """The plate with lights drawn over it, and the glow they spread."""
    ink = lights.sheet()
    top, rows = lights.top, ink.height
    below = plate.crop(0, top, stage.width, rows)
    lit = ink[3].ifthenelse(ink.extract_band(0, n=3), below, blend=True).copy_memory()
    glow = ((ink.extract_band(0, n=3) * ink[3]) >> 8).cast("uchar").shrink(8, 8, ceil=True)
    soft = (
        glow.gaussblur(max(1.0, stage.unit / 420)) * 0.55 + glow.gaussblur(stage.unit / 110) * 0.9
    )
    halo = enlarge(soft.cast("uchar").copy_memory(), stage.width, rows)
    return plate.insert((lit + halo).cast("uchar"), 0, top).copy_memory()


def _row(
    sheet: Drawing,
    lights: Drawing,
    stage: Stage,
    roll: random.Random,
    *,
    depth: float,
    tall: float,
    broad: float,
) -> None:
    palette, quay = stage.palette, stage.horizon
    body = mix(mix(palette.far, palette.sky[2], 0.35), palette.ground, depth**0.8)
    haze = mix(palette.sky[3], body, 0.35 + 0.6 * depth)
    x = -broad * roll.random()
    centre = stage.width * roll.uniform(0.35, 0.65)
    while x < stage.width:
        width = broad * roll.uniform(0.6, 1.5)
        # The skyline crowds up towards a centre, as skylines do.
        crowd = 0.55 + 0.65 * max(0.0, 1 - abs(x - centre) / (stage.unit * 0.9))
        height = tall * min(1.15, crowd) * roll.uniform(0.45, 1.05)
        fill = sheet.vertical(quay - height, quay, [(0, body, 1), (0.6, body, 1), (1, haze, 1)])
        shape, top = _tower(x, quay, width, height, roll)
        sheet.shape(shape, fill)
        if depth > 0.2:
            lit = (x, top, width, quay)
            _windows(lights, stage, roll, box=lit, depth=depth)
        if depth == 0.7 and roll.random() < 0.4:
            _sign(
                lights, stage, roll, x=x + width * roll.uniform(0.1, 0.7), top=quay - height * 0.8
            )
        x += width * roll.uniform(0.85, 1.25)


def _tower(
    x: float, quay: float, width: float, height: float, roll: random.Random
) -> tuple[str, float]:
    """Path data of a tower, and the row its plain walls begin at."""
    top = quay - height
    shape = rectangle(x, top, width, height + 4)
    kind = roll.random()
    if kind < 0.25:
        shape += rectangle(x + width * 0.2, top - width * 0.35, width * 0.6, width * 0.36)
        shape += rectangle(x + width * 0.38, top - width * 0.6, width * 0.24, width * 0.26)
    elif kind < 0.4:
        shape += rectangle(x + width * 0.47, top - height * 0.28, width * 0.06, height * 0.29)
        shape += rectangle(x + width * 0.3, top - width * 0.22, width * 0.4, width * 0.23)
    elif kind < 0.55:
        slope = width * roll.uniform(0.25, 0.6)
        shape += f"M{x:.1f} {top + 1:.1f}l{width:.1f} {-slope:.1f}v{slope:.1f}z"
    elif kind < 0.65:
        shape += disc(x + width / 2, top + 1, width * 0.5, width * 0.34)
    return shape, top


def _windows(
    lights: Drawing,
    stage: Stage,
    roll: random.Random,
    *,
    box: tuple[float, float, float, float],
    depth: float,
) -> None:
    x, top, width, quay = box
    palette = stage.palette
    dim = palette.name in {"neon", "night", "sunset"}
    cell = max(3.0, stage.unit * (0.008 + 0.005 * depth))
    share = (0.3 if dim else 0.1) * roll.uniform(0.5, 1.3)
    warm: list[str] = []
    cool: list[str] = []
    for row in range(int((quay - top) / (cell * 1.5)) - 1):
        for column in range(int(width / cell) - 1):
            if roll.random() < share:
                pane = rectangle(
                    x + cell * (column + 0.7),
                    top + cell * 1.5 * (row + 0.6),
                    cell * 0.55,
                    cell * 0.8,
                )
                (warm if roll.random() < 0.8 else cool).append(pane)
    strength = (0.95 if dim else 0.55) * (0.5 + 0.5 * depth)
    if warm:
        lights.shape("".join(warm), palette.lamp, strength)
    if cool:
        lights.shape("".join(cool), mix(palette.lamp, palette.accent, 0.75), strength)


def _sign(lights: Drawing, stage: Stage, roll: random.Random, *, x: float, top: float) -> None:
    if stage.palette.name != "neon":
        return
    colours: tuple[Colour, ...] = (stage.palette.accent, stage.palette.glow, (255, 214, 90))
    colour = roll.choice(colours)
    unit = stage.unit
    tall, broad = unit * roll.uniform(0.09, 0.17), unit * 0.026
    lights.shape(rectangle(x, top, broad, tall), mix(colour, BLACK, 0.55), 0.9)
    lights.line(rectangle(x, top, broad, tall), colour, unit * 0.003)
    for index in range(int(tall / broad)):
        # Strokes that read as a sign from afar, and as no letter from near.
        y = top + broad * (index + 0.5)
        lights.line(f"M{x + broad * 0.25:.1f} {y:.1f}h{broad * 0.5:.1f}", colour, unit * 0.003)
        lights.line(
            f"M{x + broad * roll.uniform(0.3, 0.7):.1f} {y - broad * 0.3:.1f}v{broad * 0.6:.1f}",
            colour,
            unit * 0.0024,
        )
