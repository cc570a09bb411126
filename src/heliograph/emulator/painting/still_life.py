"""A still life: a table by a wall, a few objects in window light.

Invariant: every object casts its shadow away from the light and stands on the table.
"""

import math
import random
import re
from collections.abc import Callable

from pyvips import Image

from heliograph.emulator.painting.colour import BLACK, WHITE, Colour, mix, parse
from heliograph.emulator.painting.drawing import Drawing, disc, polygon
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen

_EVERY = ("bottle", "apple", "vase", "lemon", "pear", "cup", "orange")
_FRUIT = {"apple": "b8322c", "orange": "e88a2a", "lemon": "f0cf3c", "pear": "b9b84a"}

_OUTLINES = {
    "pear": (
        "M0-2.7C-.42-2.7-.42-2.1-.55-1.75C-.75-1.3-1-1.1-1-.72C-1-.2-.5 0 0 0C.5 0 1-.2 1-.72"
        "C1-1.1.75-1.3.55-1.75C.42-2.1.42-2.7 0-2.7Z"
    ),
    "apple": (
        "M0-1.78C-.4-2.02-1.06-1.8-1.06-1.02C-1.06-.4-.6 0-.26 0C-.1 0-.1-.05 0-.05"
        "C.1-.05.1 0 .26 0C.6 0 1.06-.4 1.06-1.02C1.06-1.8.4-2.02 0-1.78Z"
    ),
    "lemon": (
        "M-1.28-.78C-1.15-.95-1-1.6 0-1.6C1-1.6 1.15-.95 1.28-.78C1.15-.6 1 0 0 0"
        "C-1 0-1.15-.6-1.28-.78Z"
    ),
    "bottle": (
        "M-.62 0C-.7 0-.74-.05-.74-.14L-.74-2.5C-.74-3.05-.25-3.15-.25-3.6L-.25-4.5L-.3-4.5"
        "L-.3-4.72L.3-4.72L.3-4.5L.25-4.5L.25-3.6C.25-3.15.74-3.05.74-2.5L.74-.14"
        "C.74-.05.7 0 .62 0Z"
    ),
    "vase": (
        "M-.5 0C-1.1-.5-1.25-1.3-.75-1.85C-.5-2.1-.42-2.2-.5-2.45L.5-2.45C.42-2.2.5-2.1.75-1.85"
        "C1.25-1.3 1.1-.5.5 0Z"
    ),
    "stem": "M0 0C.02-.15.1-.35.2-.42",
    "handle": "M-.68-.95C-1.3-1.05-1.23-.23-.56-.45",
    "handle right": "M.68-.95C1.3-1.05 1.23-.23.56-.45",
}

Painter = Callable[[Drawing, Stage, random.Random, float, float], None]


def paint_room(plate: Image, stage: Stage) -> Image:
    """A wall with the light of a window on it, and a wooden table."""
    palette, unit = stage.palette, stage.unit
    way = _way(stage)
    wall = mix(palette.near, palette.far, 0.35 if palette.stars else 0.55)
    sheet = stage.drawing()
    x, y = stage.width / 2 + way * unit * 0.45, stage.horizon - unit * 0.45
    stops = [(0, mix(wall, palette.glow, 0.6), 1), (0.45, wall, 1), (1, mix(wall, BLACK, 0.5), 1)]
    sheet.shape(f"M0 0h{stage.width}v{stage.height}H0z", sheet.radial(x, y, _span(stage), stops))
    _window_light(sheet, stage, way)
    plate = roughen(plate, sheet, stage, name="plaster", strength=0.05)
    table = stage.drawing(top=stage.horizon)
    wood = mix(mix(parse("#7a4a2c"), palette.near, 0.35), palette.glow, 0.12)
    stops = [(0, mix(wood, palette.glow, 0.35), 1), (1, mix(wood, BLACK, 0.45), 1)]
    table.shape(
        f"M0 {stage.horizon}h{stage.width}V{stage.height}H0z",
        table.vertical(stage.horizon, stage.height, stops),
    )
    return roughen(plate, table, stage, name="wood", strength=0.16, stretch=14)


def paint_objects(plate: Image, stage: Stage) -> Image:
    """The objects the prompt names, with a few companions, composed about the middle."""
    roll = stage.dice("objects")
    unit = stage.unit
    named = list(stage.brief.props)
    spare = [prop for prop in _EVERY if prop not in named]
    roll.shuffle(spare)
    tall = [prop for prop in [*named, *spare] if prop in _TALL][: 2 if stage.width > unit else 1]
    low = [prop for prop in [*named, *spare] if prop not in _TALL][: 3 if stage.tall < 1.6 else 2]
    back = stage.horizon + unit * 0.09
    sheet = stage.drawing(top=0)
    centre = stage.width * 0.5
    for index, prop in enumerate(tall):
        x = centre + unit * (index * 0.36 - 0.18 * (len(tall) - 1) + roll.uniform(-0.02, 0.02))
        _PAINTERS[prop](sheet, stage, roll, x, back)
    first = roll.choice((-0.38, -0.3))
    for index, prop in enumerate(low):
        x = centre + unit * (first + index * 0.27 + roll.uniform(-0.02, 0.02))
        _PAINTERS[prop](sheet, stage, roll, x, back + unit * roll.uniform(0.055, 0.1))
    return sheet.over(plate)


def _way(stage: Stage) -> int:
    return 1 if stage.sun[0] > stage.width / 2 else -1


def _span(stage: Stage) -> float:
    return max(stage.width, stage.height) * 0.75


def _window_light(sheet: Drawing, stage: Stage, way: int) -> None:
    unit, x = stage.unit, stage.width / 2 + way * stage.unit * 0.3
    top = stage.horizon - unit * 0.75
    for column in range(2):
        for row in range(3):
            left, high = x + column * unit * 0.16 * way, top + row * unit * 0.17
            pane = [(left, high), (left + way * unit * 0.14, high - unit * 0.03)]
            pane += [(px - way * unit * 0.03, py + unit * 0.15) for px, py in reversed(pane)]
            sheet.shape(polygon(pane), stage.palette.glow, 0.16)


def _shadow(sheet: Drawing, stage: Stage, x: float, foot: float, width: float) -> None:
    """A contact shadow and a long soft one, thrown from the light."""
    away = x - _way(stage) * width * 0.9
    for cx, across, strength in ((away, width * 1.35, 0.42), (x, width * 0.62, 0.6)):
        fill = sheet.radial(
            0, 0, 1, [(0, BLACK, strength), (0.4, BLACK, strength * 0.6), (1, BLACK, 0)]
        )
        sheet.placed(disc(0, 0, 1), fill, (cx, foot, across, across * 0.2))


def _fruit(name: str) -> Painter:
    def paint(sheet: Drawing, stage: Stage, roll: random.Random, x: float, foot: float) -> None:
        unit, way = stage.unit, _way(stage)
        radius = unit * roll.uniform(0.084, 0.1)
        body = _worn(parse("#" + _FRUIT[name]), stage)
        _shadow(sheet, stage, x, foot, radius * 1.3)
        fill = sheet.radial(
            x + way * radius * 0.42, foot - radius * 1.35, radius * 1.75, _round(body, stage)
        )
        sheet.shape(_fruit_outline(name, x, foot, radius), fill)
        shine = (x + way * radius * 0.4, foot - radius * 1.42)
        glint = sheet.radial(*shine, radius * 0.34, [(0, WHITE, 0.75), (1, WHITE, 0)])
        sheet.shape(disc(*shine, radius * 0.34, radius * 0.24), glint)
        if name in {"apple", "pear"}:
            top = foot - radius * (1.78 if name == "apple" else 2.7)
            sheet.line(
                _at(_OUTLINES["stem"], x, top, radius),
                _worn(parse("#4a3018"), stage),
                radius * 0.09,
            )

    return paint


def _fruit_outline(name: str, x: float, foot: float, radius: float) -> str:
    if name not in _OUTLINES:
        return disc(x, foot - radius, radius)
    return _at(_OUTLINES[name], x, foot, radius)


def _at(path: str, x: float, foot: float, size: float) -> str:
    """Path data of absolute coordinates, moved and scaled, so gradients keep plate units."""
    numbers = iter(re.findall(r"[A-Za-z]|-?(?:\d+\.?\d*|\.\d+)", path))
    out: list[str] = []
    across = True
    for token in numbers:
        if token.isalpha():
            out.append(token)
        else:
            out.append(f"{(x if across else foot) + float(token) * size:.2f} ")
            across = not across
    return "".join(out)


def _bottle(sheet: Drawing, stage: Stage, roll: random.Random, x: float, foot: float) -> None:
    unit = stage.unit
    size = unit * 0.136
    glass = _worn(roll.choice((parse("#2f5d43"), parse("#6b3a1f"), parse("#27506b"))), stage)
    _shadow(sheet, stage, x, foot, size * 0.9)
    sheet.shape(
        _at(_OUTLINES["bottle"], x, foot, size), _cylinder(sheet, stage, x, size * 0.74, glass)
    )
    way = _way(stage)
    label = mix(parse("#efe6d2"), stage.palette.glow, 0.2)
    band = "M-.74-2C-.3-1.93.3-1.93.74-2L.74-.8C.3-.73-.3-.73-.74-.8Z"
    sheet.shape(_at(band, x, foot, size), _cylinder(sheet, stage, x, size * 0.74, label), 0.92)
    shine = "M.42-2.5L.52-2.5L.52-.3L.42-.3Z" if way > 0 else "M-.52-2.5L-.42-2.5L-.42-.3L-.52-.3Z"
    sheet.shape(_at(shine, x, foot, size), WHITE, 0.35)


def _vase(sheet: Drawing, stage: Stage, roll: random.Random, x: float, foot: float) -> None:
    size = stage.unit * 0.136
    clay = mix(_worn(parse("#d8cbb8"), stage), stage.palette.glow, 0.2)
    _shadow(sheet, stage, x, foot, size * 1.1)
    _flowers(sheet, stage, roll, x, foot - size * 2.3)
    sheet.shape(_at(_OUTLINES["vase"], x, foot, size), _cylinder(sheet, stage, x, size * 1.1, clay))
    sheet.shape(disc(x, foot - size * 2.45, size * 0.5, size * 0.09), mix(clay, BLACK, 0.65))


def _flowers(sheet: Drawing, stage: Stage, roll: random.Random, x: float, y: float) -> None:
    size = stage.unit * 0.136
    green = _worn(parse("#4c6b3c"), stage)
    colours = (
        stage.palette.accent,
        mix(stage.palette.accent, WHITE, 0.45),
        _worn(parse("#f2e3c0"), stage),
    )
    for index in range(7):
        lean = (index - 3) * 0.5 + roll.uniform(-0.2, 0.2)
        top = (x + lean * size, y - size * (2.1 - abs(lean) * 0.5 + roll.uniform(-0.4, 0.3)))
        bend = f"{x:.1f} {(y + top[1]) / 2:.1f} {top[0]:.1f} {top[1]:.1f}"
        stem = f"M{x:.1f} {y + size * 0.2:.1f}Q{bend}"
        sheet.line(stem, green, size * 0.05)
        leaf = (x + lean * size * 0.6, (y + top[1]) / 2)
        sheet.shape(disc(*leaf, size * 0.22, size * 0.08), mix(green, WHITE, 0.1))
        _bloom(
            sheet, stage, roll, top, size=size * roll.uniform(0.42, 0.6), colour=colours[index % 3]
        )


def _bloom(
    sheet: Drawing,
    stage: Stage,
    roll: random.Random,
    place: tuple[float, float],
    *,
    size: float,
    colour: Colour,
) -> None:
    x, y = place
    for ring, count in ((1.0, 9), (0.62, 7), (0.3, 5)):
        shade = mix(mix(colour, BLACK, 0.3), mix(colour, WHITE, 0.35), 1 - ring)
        turn = roll.random()
        for petal in range(count):
            angle = (petal / count + turn) * math.tau
            reach = size * ring * 0.55
            sheet.shape(
                disc(
                    x + math.cos(angle) * reach,
                    y + math.sin(angle) * reach * 0.85,
                    size * 0.36 * (0.5 + ring / 2),
                ),
                mix(shade, stage.palette.glow, 0.12 * roll.random()),
            )
    sheet.shape(disc(x, y, size * 0.16), mix(colour, stage.palette.lamp, 0.7))


def _cup(sheet: Drawing, stage: Stage, _: random.Random, x: float, foot: float) -> None:
    size, way = stage.unit * 0.126, _way(stage)
    china = mix(_worn(parse("#e9e4da"), stage), stage.palette.glow, 0.12)
    _shadow(sheet, stage, x, foot, size)
    handle = _at(_OUTLINES["handle" if way > 0 else "handle right"], x, foot, size)
    sheet.line(handle, mix(china, BLACK, 0.25), size * 0.12)
    path = "M-.75-1.2C-.74-.5-.6 0-.36 0L.36 0C.6 0 .74-.5.75-1.2Z"
    sheet.shape(_at(path, x, foot, size), _cylinder(sheet, stage, x, size * 0.75, china))
    sheet.shape(disc(x, foot - size * 1.2, size * 0.75, size * 0.15), mix(china, WHITE, 0.4))
    sheet.shape(
        disc(x, foot - size * 1.19, size * 0.67, size * 0.12), _worn(parse("#4a2a18"), stage)
    )


def _cylinder(sheet: Drawing, stage: Stage, x: float, half: float, body: Colour) -> str:
    """Light across a round wall: bright towards the window, dark away, a reflected edge."""
    way = _way(stage)
    lit, dark = mix(body, stage.palette.glow, 0.55), mix(body, BLACK, 0.68)
    stops = [
        (0.0, mix(dark, body, 0.35), 1.0),
        (0.14, dark, 1.0),
        (0.55, body, 1.0),
        (0.8, lit, 1.0),
    ]
    stops.append((1.0, mix(body, BLACK, 0.15), 1.0))
    return sheet.sideways(x - way * half, x + way * half, stops)


def _round(body: Colour, stage: Stage) -> list[tuple[float, Colour, float]]:
    lit, dark = mix(body, stage.palette.glow, 0.6), mix(body, BLACK, 0.75)
    return [
        (0, lit, 1),
        (0.35, body, 1),
        (0.78, mix(body, dark, 0.7), 1),
        (0.93, dark, 1),
        (1, mix(dark, body, 0.3), 1),
    ]


def _worn(colour: Colour, stage: Stage) -> Colour:
    """A natural colour under the palette's light."""
    if stage.palette.name == "mono":
        level = sum(colour) / 3
        return (level, level, level)
    return mix(mix(colour, stage.palette.near, 0.12), stage.palette.glow, 0.06)


_TALL = ("bottle", "vase")
_PAINTERS: dict[str, Painter] = {
    "bottle": _bottle,
    "vase": _vase,
    "cup": _cup,
    **{name: _fruit(name) for name in _FRUIT},
}
