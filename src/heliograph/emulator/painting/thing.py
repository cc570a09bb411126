"""Places the things a prompt names: beasts on a cliff, boats on the water, birds in the sky.

Invariant: a thing is drawn whole inside the plate, against the light where it can be.
"""

from pyvips import Image

from heliograph.emulator.painting.colour import Colour, mix
from heliograph.emulator.painting.crest import crest, height_at
from heliograph.emulator.painting.drawing import Drawing, disc, polygon, rectangle
from heliograph.emulator.painting.silhouette import SILHOUETTES
from heliograph.emulator.painting.stage import Stage

ON_CLIFF = ("big_cat", "wolf", "cat", "deer", "horse", "hiker", "lighthouse", "torii", "pagoda")
ON_WATER = ("boat",)
IN_SKY = ("birds", "eagle", "balloon")
ON_BANK = ("cabin",)
_HEIGHTS = {"cat": 0.2, "hiker": 0.18, "lighthouse": 0.34, "torii": 0.26, "pagoda": 0.34}


def paint_things(plate: Image, stage: Stage) -> Image:
    """The plate with every thing of the brief where it belongs."""
    things = stage.brief.things
    grounded = [thing for thing in things if thing in ON_CLIFF]
    sheet = stage.drawing()
    for thing in things:
        if thing in IN_SKY:
            _in_sky(sheet, stage, thing)
        elif thing in ON_WATER and stage.scene == "sea":
            _on_water(sheet, stage, thing)
        elif thing in ON_BANK:
            _on_bank(sheet, stage, thing)
    if grounded:
        _on_cliff(sheet, stage, grounded[0])
    return sheet.over(plate) if things else plate


def _on_cliff(sheet: Drawing, stage: Stage, thing: str) -> None:
    """A ledge reaching in from the side of the sun, and the thing near its edge."""
    roll = stage.dice("cliff")
    unit, ground = stage.unit, stage.palette.ground
    right = stage.sun[0] > stage.width / 2
    way = 1 if right else -1
    # Among trees the ledge is higher, so that the thing stands against the sky.
    clear = stage.horizon - unit * (0.24 if stage.scene == "forest" else 0.02)
    row = min(stage.height * 0.86, max(stage.sun[1] + unit * 0.14, clear))
    tip = stage.sun[0] - way * unit * 0.2
    edge = stage.width + 20 if right else -20.0
    ledge = [(tip, row + unit * 0.02), (tip + way * unit * 0.3, row), (edge, row - unit * 0.06)]
    lip = [
        (tip, row + unit * 0.02),
        (tip + way * unit * 0.1, row + unit * 0.16),
        (tip + way * unit * 0.06, row + unit * 0.3),
        (tip + way * unit * 0.24, stage.height + 9),
    ]
    top = crest(sorted(ledge), roll, rough=0.035, least=unit / 220)
    face = crest(lip, roll, rough=0.16, least=unit / 160)
    around = [*face, (edge, stage.height + 9)] + (top[::-1] if right else top)
    sheet.shape(polygon(around), ground)
    _rim(sheet, stage, top if right else top[::-1])
    size = unit * _HEIGHTS.get(thing, 0.27) / 100
    x = tip + way * unit * 0.2
    foot = height_at(top, x) + unit * 0.006
    sheet.placed(SILHOUETTES[thing], ground, (x, foot, size * way, size))
    if thing == "lighthouse":
        _beam(sheet, stage, x, foot - 80 * size, -way)


def _rim(sheet: Drawing, stage: Stage, top: list[tuple[float, float]]) -> None:
    light = mix(stage.palette.glow, stage.palette.ground, 0.25)
    data = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in top)
    sheet.line(data, light, max(0.6, stage.unit * 0.0016), 0.55)


def _beam(sheet: Drawing, stage: Stage, x: float, y: float, way: int) -> None:
    lamp, unit = stage.palette.lamp, stage.unit
    sheet.shape(
        disc(x, y, unit * 0.03), sheet.radial(x, y, unit * 0.03, [(0, lamp, 1), (1, lamp, 0)])
    )
    fill = sheet.sideways(x, x + way * unit * 0.9, [(0, lamp, 0.6), (1, lamp, 0.0)])
    reach = x + way * unit * 0.9
    sheet.shape(
        polygon([(x, y - 2), (reach, y - unit * 0.12), (reach, y + unit * 0.03), (x, y + 2)]), fill
    )


def _in_sky(sheet: Drawing, stage: Stage, thing: str) -> None:
    roll = stage.dice(thing)
    unit, palette = stage.unit, stage.palette
    dark = mix(palette.ground, palette.near, 0.3)
    if thing == "balloon":
        for scale in (0.28, 0.13, 0.08):
            x = stage.width * roll.uniform(0.12, 0.88)
            y = stage.horizon * roll.uniform(0.35, 0.75) + scale * unit * 0.5
            _balloon(sheet, stage, x=x, y=y, size=unit * scale / 100)
        return
    number, size = (13, unit * 0.0016) if thing == "birds" else (1, unit * 0.003)
    x, y = stage.width - stage.sun[0], stage.horizon * roll.uniform(0.45, 0.55)
    for index in range(number):
        away = (index + 1) // 2 * (1 if index % 2 else -1)
        dx = away * unit * 0.035 + roll.uniform(-0.01, 0.01) * unit
        dy = abs(away) * unit * 0.016 + roll.uniform(-0.008, 0.008) * unit
        grow = size * roll.uniform(0.8, 1.1)
        sheet.placed(SILHOUETTES[thing], dark, (x + dx, y + dy, grow, grow))


def _balloon(sheet: Drawing, stage: Stage, *, x: float, y: float, size: float) -> None:
    palette = stage.palette
    body: Colour = mix(palette.accent, palette.sky[2], 0.1)
    light, deep = mix(body, palette.glow, 0.5), mix(body, palette.ground, 0.5)
    stops = [(0.0, light, 1.0), (0.5, body, 1.0), (1.0, deep, 1.0)]
    if stage.sun[0] > x:
        stops = [(1 - place, colour, alpha) for place, colour, alpha in reversed(stops)]
    fill = sheet.sideways(-36, 36, stops)
    sheet.placed(SILHOUETTES["balloon"], fill, (x, y, size, size))
    stripe = "M0-100C-9-90-13-74-12-62C-11-46-5-30-2.5-20L2.5-20C5-30 11-46 12-62C13-74 9-90 0-100Z"
    sheet.placed(stripe, mix(palette.cloud, body, 0.25), (x, y, size, size))


def _on_water(sheet: Drawing, stage: Stage, thing: str) -> None:
    roll = stage.dice(thing)
    unit, palette = stage.unit, stage.palette
    x = stage.width - stage.sun[0] + roll.uniform(-0.05, 0.05) * stage.width
    y = stage.horizon + unit * 0.09
    size = unit * 0.0028
    dark = mix(palette.ground, palette.near, 0.25)
    sheet.placed(SILHOUETTES[thing], dark, (x, y, size, size))
    sheet.placed(
        SILHOUETTES[thing],
        sheet.vertical(0, -95, [(0, dark, 0.45), (1, dark, 0)]),
        (x, y + unit * 0.008, size, -size * 0.8),
    )
    sail = "M4-14L4-88C18-66 28-42 31-14Z"
    sheet.placed(sail, mix(palette.cloud, palette.accent, 0.35), (x, y, size, size))


def _on_bank(sheet: Drawing, stage: Stage, thing: str) -> None:
    unit, palette = stage.unit, stage.palette
    x = stage.width * (0.3 if stage.sun[0] > stage.width / 2 else 0.7)
    y, size = stage.height - unit * 0.06, unit * 0.0019
    sheet.placed(SILHOUETTES[thing], palette.ground, (x, y, size, size))
    panes = rectangle(-26, -24, 12, 13) + rectangle(12, -24, 12, 13)
    halo = sheet.radial(
        x, y - 20 * size, unit * 0.2, [(0, palette.lamp, 0.4), (1, palette.lamp, 0)]
    )
    sheet.shape(disc(x, y - 20 * size, unit * 0.2), halo)
    sheet.placed(panes, palette.lamp, (x, y, size, size))
