"""Space: a nebula, a planet with weather and rings, a small moon.

Invariant: light comes from one side, so the night side of everything falls the same way.
"""

import math

from pyvips import Image

from heliograph.emulator.painting.colour import BLACK, WHITE, Colour, mix
from heliograph.emulator.painting.drawing import Drawing, disc, polygon
from heliograph.emulator.painting.field import clamp, enlarge, fractal, step, streaks
from heliograph.emulator.painting.sky import gradient_rows, tint
from heliograph.emulator.painting.stage import Stage

_SOFT = 8


def paint_space(stage: Stage) -> Image:
    """A plate of stars and glowing gas."""
    width, height = math.ceil(stage.width / _SOFT), math.ceil(stage.height / _SOFT)
    palette, cell = stage.palette, stage.unit / _SOFT * 0.5
    deep = mix(palette.sky[0], BLACK, 0.86)
    air = gradient_rows([(0, deep), (1, mix(palette.sky[1], BLACK, 0.8))], width, height)
    mask = fractal(width, height, cell=cell * 1.6, seed=stage.number("gas mask"))
    for index, colour in enumerate((palette.sky[1], palette.glow, palette.accent, palette.sky[3])):
        gas = fractal(width, height, cell=cell, seed=stage.number(f"gas {index}"), gain=0.58)
        share = step(gas + mask, 0.0 + 0.2 * index, 1.9) * (0.8 - 0.1 * index)
        air = tint(air, colour, share)
    soft = air.clamp(min=0, max=255).cast("uchar").copy(interpretation="srgb").copy_memory()
    plate = enlarge(soft, stage.width, stage.height).copy_memory()
    return _stars(stage, plate)


def paint_planet(plate: Image, stage: Stage) -> Image:
    """The plate with a great planet, and its moon."""
    roll = stage.dice("planet")
    unit = stage.unit
    radius = unit * (roll.uniform(0.27, 0.32) - (0.05 if stage.brief.words else 0))
    x = stage.width * roll.uniform(0.4, 0.6)
    y = stage.height * (0.4 if stage.brief.words else 0.52)
    way = 1 if stage.sun[0] > stage.width / 2 else -1
    tilt = roll.uniform(-0.35, -0.15) * way
    far = stage.drawing(top=y - radius * 2.3, bottom=y + radius * 2.3)
    _rings(far, stage, (x, y, radius), tilt=tilt, front=False)
    plate = _globe(far.over(plate), stage, (x, y, radius), way=way)
    near = stage.drawing(top=y - radius * 2.3, bottom=y + radius * 2.3)
    _rings(near, stage, (x, y, radius), tilt=tilt, front=True)
    moon = (x - way * radius * 1.7, y - radius * 1.25, radius * 0.13)
    near.shape(disc(*moon), mix(stage.palette.far, stage.palette.cloud, 0.4))
    _night(near, moon, way=way)
    return near.over(plate)


def _stars(stage: Stage, plate: Image) -> Image:
    roll = stage.dice("space stars")
    sheet = stage.drawing()
    area = stage.width * stage.height / stage.unit**2
    for size, opacity, number in ((0.0006, 0.5, 520), (0.0011, 0.75, 150), (0.0021, 1.0, 26)):
        dots = "".join(
            disc(
                roll.random() * stage.width,
                roll.random() * stage.height,
                max(0.4, size * stage.unit * roll.uniform(0.6, 1.3)),
            )
            for _ in range(min(3000, int(number * area)))
        )
        sheet.shape(dots, WHITE, opacity)
    return sheet.over(plate)


def _globe(plate: Image, stage: Stage, place: tuple[float, float, float], *, way: int) -> Image:
    """The planet's bands, cut to its disc and shaded."""
    x, y, radius = place
    side = int(radius * 2)
    left, top = int(x - radius), int(y - radius)
    palette = stage.palette
    small = max(16, side // 4)
    bands = streaks(small, small, cell=small * 0.3, seed=stage.number("bands"), stretch=5)
    share = clamp(bands * 0.7 + 0.5)
    body = share * list(mix(palette.far, palette.cloud, 0.45)) + (share * -1 + 1) * list(
        mix(palette.near, palette.accent, 0.4)
    )
    skin = enlarge(body.clamp(min=0, max=255).cast("uchar").copy_memory(), side, side)
    shape = Drawing(side, side)
    shape.shape(disc(side / 2, side / 2, side / 2 - 1), WHITE)
    mask = shape.sheet()[3]
    halo = Drawing(plate.width, plate.height, top=y - radius * 1.4, bottom=y + radius * 1.4)
    air = [(0.0, palette.glow, 0.0), (0.68, palette.glow, 0.55), (1.0, palette.glow, 0.0)]
    off = x + way * radius * 0.06
    halo.shape(disc(off, y, radius * 1.35), halo.radial(off, y, radius * 1.35, air))
    plate = halo.over(plate)
    # A plate narrower than the globe shows the part of it that fits.
    room = (max(0, left), max(0, top))
    cut = (room[0] - left, room[1] - top)
    wide, high = (
        min(side - cut[0], plate.width - room[0]),
        min(side - cut[1], plate.height - room[1]),
    )
    below = plate.crop(*room, wide, high)
    inked = mask.crop(*cut, wide, high).ifthenelse(skin.crop(*cut, wide, high), below, blend=True)
    plate = plate.insert(inked.copy(interpretation="srgb"), *room).copy_memory()
    shade = Drawing(plate.width, plate.height, top=y - radius, bottom=y + radius)
    _night(shade, place, way=way)
    return shade.over(plate)


def _night(sheet: Drawing, place: tuple[float, float, float], *, way: int) -> None:
    x, y, radius = place
    dark: Colour = (4, 5, 14)
    lit = [
        (0.0, WHITE, 0.25),
        (0.3, WHITE, 0.0),
        (0.42, dark, 0.05),
        (0.75, dark, 0.75),
        (1.0, dark, 0.96),
    ]
    fill = sheet.radial(x + way * radius * 0.62, y - radius * 0.45, radius * 1.75, lit)
    sheet.shape(disc(x, y, radius + 0.5), fill)


def _rings(
    sheet: Drawing,
    stage: Stage,
    place: tuple[float, float, float],
    *,
    tilt: float,
    front: bool,
) -> None:
    x, y, radius = place
    roll = stage.dice("rings")
    palette = stage.palette
    start, end = (0.0, math.pi) if front else (math.pi, math.tau)
    reach = 1.32
    while reach < 2.1:
        width = roll.uniform(0.02, 0.07)
        colour = mix(palette.cloud, palette.glow, roll.random() * 0.8)
        outer = _arc(x, y, radius * (reach + width), tilt=tilt, start=start, end=end)
        inner = _arc(x, y, radius * reach, tilt=tilt, start=end, end=start)
        sheet.shape(polygon(outer + inner), colour, roll.uniform(0.25, 0.8))
        reach += width + roll.choice((0.006, 0.012, 0.05))


def _arc(
    x: float, y: float, radius: float, *, tilt: float, start: float, end: float
) -> list[tuple[float, float]]:
    points = []
    for index in range(61):
        angle = start + (end - start) * index / 60
        across, down = math.cos(angle) * radius, math.sin(angle) * radius * 0.24
        points.append(
            (
                x + across * math.cos(tilt) - down * math.sin(tilt),
                y + across * math.sin(tilt) + down * math.cos(tilt),
            )
        )
    return points
