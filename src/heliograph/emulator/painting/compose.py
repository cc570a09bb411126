"""From an order to its picture: which painters, in which order.

Invariant: a scene is a list of painters; each takes the plate and returns the next.
"""

from collections.abc import Callable

from pyvips import Image

from heliograph.emulator.painting.brief import Brief, read
from heliograph.emulator.painting.city import paint_city
from heliograph.emulator.painting.colour import mix
from heliograph.emulator.painting.dune import paint_dunes
from heliograph.emulator.painting.edit import paint_edit, source_of
from heliograph.emulator.painting.finish import encode, grain, to_size
from heliograph.emulator.painting.lettering import Zone, letter
from heliograph.emulator.painting.mark import stamp, write_metadata_mark
from heliograph.emulator.painting.order import PaintOrder
from heliograph.emulator.painting.planet import paint_planet, paint_space
from heliograph.emulator.painting.portrait import paint_portrait
from heliograph.emulator.painting.poster import paint_margin, paint_poster
from heliograph.emulator.painting.ridge import paint_ridges
from heliograph.emulator.painting.sea import paint_lake, paint_quay, paint_sea
from heliograph.emulator.painting.sky import bare_plate, gradient_rows, paint_lights, paint_sky
from heliograph.emulator.painting.stage import Stage, stage_for
from heliograph.emulator.painting.still_life import paint_objects, paint_room
from heliograph.emulator.painting.thing import paint_things
from heliograph.emulator.painting.tree import paint_foreground, paint_woods
from heliograph.emulator.painting.weather import paint_mist, paint_weather

Painter = Callable[[Image, Stage], Image]

_SCENES: dict[str, tuple[Painter, ...]] = {
    "mountains": (
        paint_lights,
        paint_ridges,
        paint_lake,
        paint_mist,
        paint_foreground,
        paint_things,
    ),
    "sea": (paint_lights, paint_sea, paint_mist, paint_things),
    "city": (paint_lights, paint_city, paint_quay, paint_mist, paint_things),
    "dunes": (paint_lights, paint_dunes, paint_things),
    "forest": (paint_lights, paint_woods, paint_mist, paint_things),
    "still_life": (paint_room, paint_objects),
    "portrait": (paint_portrait,),
    "poster": (paint_poster, paint_things),
    "space": (paint_planet,),
}

_GROUNDS: dict[str, Callable[[Stage], Image]] = {
    "space": paint_space,
    "still_life": bare_plate,
    "poster": bare_plate,
}

# Scene: top and height of the lettering's zone, as shares of the picture.
_ZONES = {
    "space": (0.74, 0.18),
    "portrait": (0.06, 0.16),
    "still_life": (0.05, 0.13),
    "city": (0.07, 0.2),
    "poster": (0.07, 0.3),
}
_PLAIN_QUALITY = 80


def paint(order: PaintOrder) -> bytes:
    """The picture of an order, a JPEG of exactly its size; ValueError for an unreadable source."""
    brief = read(order.prompt)
    stage = stage_for(order, brief)
    if order.plain:
        return _marked(_plain(order, stage), order, quality=_PLAIN_QUALITY)
    plate = paint_edit(source_of(order.sources), stage) if order.sources else _scene(stage)
    image = to_size(plate, order.width, order.height)
    image = letter(image, brief.words, _zone(order, stage), stage.palette)
    return _marked(grain(image, stage.number("grain")), order)


def _marked(image: Image, order: PaintOrder, **options: int) -> bytes:
    return write_metadata_mark(encode(stamp(image, order.call_id), **options), order.call_id)


def _scene(stage: Stage) -> Image:
    plate = _GROUNDS.get(stage.scene, paint_sky)(stage)
    for painter in _SCENES[stage.scene]:
        plate = painter(plate, stage)
    plate = paint_weather(plate, stage)
    return paint_margin(plate, stage) if _printed(stage.brief) else plate


def _printed(brief: Brief) -> bool:
    return "poster" in brief.scenes


def _plain(order: PaintOrder, stage: Stage) -> Image:
    top, low = stage.palette.sky[1], stage.palette.sky[3]
    rows = [
        (0.0, top),
        (0.62, low),
        (0.621, mix(low, stage.palette.near, 0.5)),
        (1.0, stage.palette.near),
    ]
    flat = gradient_rows(rows, order.width, order.height)
    return flat.cast("uchar").copy(interpretation="srgb")


def _zone(order: PaintOrder, stage: Stage) -> Zone:
    top, height = _ZONES.get(stage.scene, (0.08, 0.22))
    if _printed(stage.brief) or not (stage.brief.scenes or order.sources):
        top, height = 0.08, max(height, 0.28)
    reach = min(order.height, order.width * 2.2)
    width = min(order.width * 0.84, order.height * 3.4)
    left = (order.width - width) / 2
    return Zone(
        left=left,
        top=order.height * top,
        width=width,
        height=max(reach, order.height * 0.5) * height,
        tall=order.height > 2.2 * order.width,
    )
