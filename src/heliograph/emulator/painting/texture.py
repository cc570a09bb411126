"""Fine surface: rock, sand, wood and paper grain, laid on what a drawing covers.

Invariant: texture changes light only, never colour or outline.
"""

import math

from pyvips import Image

from heliograph.emulator.painting.drawing import Drawing
from heliograph.emulator.painting.field import double, enlarge, fractal, noise
from heliograph.emulator.painting.stage import Stage


def roughen(
    plate: Image, sheet: Drawing, stage: Stage, *, name: str, strength: float, stretch: int = 1
) -> Image:
    """The plate with the drawing over it, its surface broken by light and shade."""
    ink = sheet.sheet()
    box = (0, sheet.top, ink.width, ink.height)
    relief = surface(
        ink.width, ink.height, seed=stage.number(name), cell=stage.unit * 0.08, stretch=stretch
    )
    # Fixed point, 128 for 1: three bands of floats would cost twice as much.
    light = relief.linear(2 * strength, 128 - 256 * strength, uchar=True)
    lit = ((ink.extract_band(0, n=3) * light) >> 7).cast("uchar")
    inked = ink[3].ifthenelse(lit, plate.crop(*box), blend=True)
    return plate.insert(inked, 0, sheet.top).copy_memory()


def surface(width: int, height: int, *, seed: int, cell: float, stretch: int = 1) -> Image:
    """A bumpy surface lit from above, 128 where flat, drawn out sideways `stretch` times."""
    soft_width, soft_height = math.ceil(width / 4 / stretch), math.ceil(height / 4)
    bumps = fractal(soft_width, soft_height + 2, cell=cell / 4, seed=seed, gain=0.62)
    light = bumps.crop(0, 2, soft_width, soft_height) - bumps.crop(0, 0, soft_width, soft_height)
    relief = light.linear(42, 128).cast("uchar").copy_memory()
    if stretch > 1:
        relief = relief.resize(stretch, vscale=1, kernel="linear")
    for octave, amplitude in ((1, 14), (2, 11)):
        relief = double(relief)
        grain = noise(relief.width, relief.height, seed + 100 + octave)
        relief = (relief + grain.linear(amplitude, 0).cast("char")).cast("uchar")
    return enlarge(relief, width, height).copy_memory()
