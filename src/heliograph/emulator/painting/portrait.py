"""A portrait without a face: head and shoulders against a great disc of light.

Invariant: the sitter is nobody; only outline, hair and light are drawn.
"""

from pyvips import Image

from heliograph.emulator.painting.colour import BLACK, mix, parse
from heliograph.emulator.painting.drawing import disc
from heliograph.emulator.painting.stage import Stage
from heliograph.emulator.painting.texture import roughen

_BUST = (
    "M0-100C-21-100-31-84-29-64C-28-53-32-45-28-38C-23-33-15-34-11-36L-11-27C-15-20-42-18-52-2"
    "L-56 12L56 12L52-2C42-18 15-20 11-27L11-36C15-34 23-33 28-38C32-45 28-53 29-64"
    "C31-84 21-100 0-100Z"
)
_FACE = "M-19-70C-19-54-11-43 0-41C11-43 19-54 19-70C19-77 14-82 8-84C-2-80-12-78-19-70Z"
_FRINGE = "M-22-62C-22-78-8-90 6-90C16-89 23-80 22-62C19-70 15-77 8-80C-2-74-14-74-22-62Z"
_NECK = "M-10-46L-10-27C-6-20 6-20 10-27L10-46C4-41-4-41-10-46Z"
_COAT = "M-11-25C-18-20-42-17-52-2L-56 12L56 12L52-2C42-17 18-20 11-25C6-14-6-14-11-25Z"


def paint_portrait(plate: Image, stage: Stage) -> Image:
    """The plate with a disc of light and a sitter before it."""
    palette, unit = stage.palette, stage.unit
    way = 1 if stage.sun[0] > stage.width / 2 else -1
    x, foot = stage.width / 2, stage.height
    size = min(unit * 0.0078, stage.height * 0.0064)
    sheet = stage.drawing()
    cy = foot - size * 74
    rings = [(1.22, 0.16), (0.98, 0.28), (0.78, 1.0)]
    for reach, strength in rings:
        light = sheet.vertical(
            cy - size * 70,
            cy + size * 70,
            [(0, palette.sun, strength), (1, palette.glow, strength)],
        )
        sheet.shape(disc(x, cy, size * 74 * reach), light)
    plate = roughen(plate, sheet, stage, name="paper", strength=0.04)
    sitter = stage.drawing()
    hair = mix(palette.ground, palette.near, 0.25)
    skin = mix(parse("#c98f6c"), palette.near, 0.25)
    coat = mix(palette.accent, palette.ground, 0.35)
    for path, colour in (
        (_BUST, hair),
        (_NECK, mix(skin, BLACK, 0.35)),
        (_COAT, coat),
        (_FACE, skin),
    ):
        lit, dark = mix(colour, palette.glow, 0.5), mix(colour, BLACK, 0.45)
        stops = [(0.0, dark, 1.0), (0.55, colour, 1.0), (0.92, lit, 1.0), (1.0, lit, 1.0)]
        half = 54 if path in {_COAT, _BUST} else 20
        fill = sitter.sideways(-way * half, way * half, stops)
        sitter.placed(path, fill, (x, foot, size, size))
    sitter.placed(_FRINGE, hair, (x, foot, size * way, size))
    return sitter.over(plate)
