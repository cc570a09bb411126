"""Fractal fields: the soft randomness behind clouds, rock, water and paper.

Invariant: a field depends on its size, cell and seed only, never on threads or time.

Fields start a few cells wide and are doubled again and again, each doubling adding an
octave of noise. Doubling is pixel zoom followed by a short integer or float filter: the same
picture as an interpolating resize, at about a sixth of its cost.
"""

import math
from functools import cache

from pyvips import Image

_TILE = 512
# zoom ∘ [1 2 1] is exactly bilinear doubling; zoom ∘ _CRISP is exactly Catmull-Rom doubling.
_SMOOTH = [1, 2, 1]
_CRISP = [-3, -6, 35, 76, 35, -6, -3]


def double(image: Image, *, crisp: bool = False) -> Image:
    """The image at twice the size; `crisp` keeps edges, at a little more cost."""
    taps = _CRISP if crisp else _SMOOTH
    kernel = Image.new_from_array([taps], scale=sum(taps))
    precision = "integer" if image.format == "uchar" else "float"
    return image.zoom(2, 2).convsep(kernel, precision=precision)


def enlarge(image: Image, width: int, height: int) -> Image:
    """The image doubled until it covers width×height, then cropped to it from the top left."""
    while image.width < width or image.height < height:
        image = double(image)
    return image.crop(0, 0, width, height)


def noise(width: int, height: int, seed: int) -> Image:
    """White noise of mean 0 and deviation 1: a window, by seed, on one tile that repeats."""
    # Gaussian noise is costly to make and free to move; under octaves no repeat is seen.
    spread = (seed * 2_654_435_761) & 0xFFFFFFFF
    left, top = spread % _TILE, (spread >> 16) % _TILE
    across, down = math.ceil((left + width) / _TILE), math.ceil((top + height) / _TILE)
    return _tile().replicate(across, down).crop(left, top, width, height)


@cache
def _tile() -> Image:
    return Image.gaussnoise(_TILE, _TILE, mean=0, sigma=1, seed=20_260_101).copy_memory()


def fractal(width: int, height: int, *, cell: float, seed: int, gain: float = 0.5) -> Image:
    """Float noise around 0, mostly within ±1, whose largest features are `cell` pixels wide."""
    octaves = max(1, round(math.log2(max(2.0, cell))))
    scale = 2**octaves
    field = noise(math.ceil(width / scale) + 2, math.ceil(height / scale) + 2, seed)
    field *= 0.8
    amplitude = 0.8
    for octave in range(octaves):
        amplitude *= gain
        grown = double(field)
        field = grown + noise(grown.width, grown.height, seed + octave + 1) * amplitude
    left, top = (field.width - width) // 2, (field.height - height) // 2
    return field.crop(left, top, width, height).copy_memory()


def streaks(width: int, height: int, *, cell: float, seed: int, stretch: int) -> Image:
    """A fractal drawn out sideways `stretch` times: cloud, water, wood."""
    narrow = fractal(max(4, math.ceil(width / stretch)), height, cell=cell, seed=seed)
    wide = narrow.resize(width / narrow.width, vscale=1, kernel="linear")
    return wide.gravity("centre", width, height, extend="copy").copy_memory()


def step(field: Image, low: float, high: float) -> Image:
    """0 below `low`, 1 above `high`, smooth between."""
    share = clamp((field - low) * (1 / (high - low)))
    return share * share * (share * -2 + 3)


def clamp(field: Image) -> Image:
    """The field held between 0 and 1."""
    return field.clamp(min=0, max=1)
