"""The sky: a gradient, the glow of the sun, clouds in perspective, stars, aurora.

Invariant: a sky fills the whole plate, so a scene may leave any of it bare.
"""

import math

from pyvips import Image, Interpolate

from heliograph.emulator.painting.colour import WHITE, Colour, along, mix
from heliograph.emulator.painting.drawing import Drawing, disc
from heliograph.emulator.painting.field import clamp, enlarge, fractal, noise, step
from heliograph.emulator.painting.stage import Stage


def _softness(stage: Stage) -> int:
    """Skies are soft: they are painted at a fraction of the plate and doubled back."""
    return 8 if stage.width * stage.height > 2_500_000 else 4


def paint_sky(stage: Stage) -> Image:
    """A plate filled with sky."""
    scale = _softness(stage)
    width, height = math.ceil(stage.width / scale), math.ceil(stage.height / scale)
    air = _glow(stage, _gradient(stage, width, height))
    if stage.palette.stars and "aurora" in stage.brief.weathers:
        air = _aurora(stage, air)
    air = _clouds(stage, air)
    soft = air.clamp(min=0, max=255).cast("uchar").copy(interpretation="srgb").copy_memory()
    return enlarge(soft, stage.width, stage.height).copy_memory()


def bare_plate(stage: Stage) -> Image:
    """A black plate, for scenes that cover all of it themselves."""
    return Image.black(stage.width, stage.height, bands=3).copy(interpretation="srgb")


def paint_lights(plate: Image, stage: Stage) -> Image:
    """The stars and the disc of the sun or the moon, sharp."""
    palette = stage.palette
    x, y = stage.sun
    radius = stage.unit * (0.035 if palette.moon else 0.045)
    top, bottom = (0.0, stage.horizon) if palette.stars else (y - radius * 4, y + radius * 4)
    sheet = stage.drawing(top=top, bottom=bottom)
    if palette.stars:
        _stars(sheet, stage)
    halo = [(0.0, palette.sun, 0.5), (0.25, palette.sun, 0.22), (1.0, palette.glow, 0.0)]
    sheet.shape(disc(x, y, radius * 4), sheet.radial(x, y, radius * 4, halo))
    rim = [(0.0, palette.sun, 1.0), (0.86, palette.sun, 1.0), (1.0, palette.sun, 0.0)]
    sheet.shape(disc(x, y, radius * 1.05), sheet.radial(x, y, radius * 1.05, rim))
    if palette.moon:
        for dx, dy, size in ((-0.3, -0.2, 0.3), (0.25, 0.3, 0.22), (0.2, -0.4, 0.14)):
            seas = mix(palette.sun, palette.sky[3], 0.35)
            sheet.shape(disc(x + dx * radius, y + dy * radius, size * radius), seas, 0.35)
    return sheet.over(plate)


def gradient_rows(stops: list[tuple[float, Colour]], width: int, height: int) -> Image:
    """A float plate whose rows follow a gradient from top to bottom."""
    rows = [along(stops, (row + 0.5) / height) for row in range(height)]
    bands = [Image.new_from_array([[colour[band]] for colour in rows]) for band in range(3)]
    column = bands[0].bandjoin(bands[1:]).cast("float")
    return column.embed(0, 0, width, height, extend="copy")


def distance(stage: Stage, image: Image, squash: float = 1.0) -> Image:
    """How far each pixel of a reduced plate lies from the sun, in units."""
    scale = stage.width / image.width
    grid = Image.xyz(image.width, image.height).cast("float")
    across = (grid[0] * scale - stage.sun[0]) * (1 / stage.unit)
    down = (grid[1] * scale - stage.sun[1]) * (squash / stage.unit)
    return (across * across + down * down) ** 0.5


def tint(image: Image, colour: Colour, share: Image) -> Image:
    """A float image moved towards a colour by a share image from 0 to 1."""
    # The image is read once: a lazy graph that read it twice would double with every tint.
    return image * (share * -1 + 1) + share * list(colour)


def _gradient(stage: Stage, width: int, height: int) -> Image:
    edge = stage.horizon / stage.height
    places = (0.0, 0.42, 0.8, 1.0)
    stops = [
        (place * edge, colour) for place, colour in zip(places, stage.palette.sky, strict=True)
    ]
    return gradient_rows(stops, width, height)


def _glow(stage: Stage, air: Image) -> Image:
    palette = stage.palette
    reach = distance(stage, air)
    halo = (reach * reach * -6.0).exp()
    air = tint(air, palette.glow, halo * (0.35 if palette.moon else 0.6))
    band = distance(stage, air, squash=4.0)
    return tint(air, palette.glow, (band * band * -1.6).exp() * (0.15 if palette.moon else 0.45))


def _clouds(stage: Stage, air: Image) -> Image:
    roll = stage.dice("clouds")
    palette = stage.palette
    width, height = air.width, air.height
    edge = stage.horizon / _softness(stage)
    grid = Image.xyz(width, height).cast("float")
    # Clouds lie on a ceiling: rows near the horizon are farther away, so they are squeezed.
    rise = clamp((grid[1] * -1 + edge) * (1 / edge))
    far = (rise + 0.22) ** -1
    reach = min(edge * 1.3, width * 1.2)
    u = (grid[0] - stage.sun[0] / _softness(stage)) * (far * 0.5 + 0.3) + width
    v = far * reach * 0.62
    span = max(16, int(width * 2.2)), max(16, int(reach * 3.2))
    mist = fractal(*span, cell=reach * 0.42, seed=stage.number("cloud field"), gain=0.54)
    index = u.bandjoin(v)
    bilinear = Interpolate.new("bilinear")
    density = mist.mapim(index, interpolate=bilinear).copy_memory()
    towards = mist.mapim(index.linear([1, 1], [0, reach * 0.03]), interpolate=bilinear)
    cover = roll.uniform(0.1, 0.45) if "mist" not in stage.brief.weathers else 0.0
    if palette.name == "storm":
        cover = -0.35
    body = step(density, cover, cover + 0.9) * step(rise, 0.02, 0.3)
    lit = clamp((density - towards) * 1.4 + 0.45).copy_memory()
    near = (distance(stage, air) * -2.2).exp()
    colour = (lit * -1 + 1) * list(palette.shade) + lit * list(palette.cloud)
    colour = tint(colour, palette.glow, clamp(near * lit * 1.3))
    strength = (body * (0.55 if palette.moon else 0.86)).copy_memory()
    return air * (strength * -1 + 1) + colour * strength


def _aurora(stage: Stage, air: Image) -> Image:
    roll = stage.dice("aurora")
    width, height = air.width, air.height
    edge = stage.horizon / _softness(stage)
    grid = Image.xyz(width, height).cast("float")
    wander = fractal(width, 8, cell=width * 0.4, seed=stage.number("aurora wander")).crop(
        0, 3, width, 1
    )
    rays = noise(width, 1, stage.number("aurora rays")).gaussblur(max(2.0, width / 110))
    rays = clamp(rays.linear(1.6, 0.55)).zoom(1, height)
    for lift, colour in ((0.62, (70.0, 255.0, 170.0)), (0.42, (120.0, 130.0, 255.0))):
        line = wander.linear(edge * 0.16, edge * (lift + roll.uniform(-0.05, 0.05))).zoom(1, height)
        above = (line - grid[1]) * (1 / edge)
        curtain = (above > 0).ifthenelse((above * -7.0).exp(), (above * 40.0).exp())
        air += curtain * (rays * 0.6 + 0.4) * [part * 0.55 for part in colour]
    return air


def _stars(sheet: Drawing, stage: Stage) -> None:
    roll = stage.dice("stars")
    area = stage.width * stage.horizon / stage.unit**2
    for size, opacity, number in ((0.0006, 0.55, 420), (0.0011, 0.75, 130), (0.002, 0.95, 22)):
        dots = []
        for _ in range(int(min(number * area, 2400) * stage.palette.stars)):
            x, y = roll.random() * stage.width, roll.random() ** 1.3 * stage.horizon
            dots.append(disc(x, y, max(0.45, size * stage.unit * roll.uniform(0.7, 1.3))))
        if dots:
            sheet.shape("".join(dots), WHITE, opacity)
