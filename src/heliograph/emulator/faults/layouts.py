"""Pictures that are not what was asked for; invariant: usage and bill follow what is really sent.

Sources: shared facts 2.3 (several images), 2.6 (silent 1K).
"""

import dataclasses

from heliograph.emulator.faults.contract import Case, Fault, table
from heliograph.emulator.models import PIXELS
from heliograph.emulator.scene import Part, Scene, Shot, Words, shot, thought_shot

_MOST_EXTRAS = 9


def _silent_1k(scene: Scene, _: Case) -> Scene:
    return _with_final(scene, shot(scene.ask, "final", "1K"))


def _wrong_ratio(scene: Scene, case: Case) -> Scene:
    return _with_final(scene, _other_ratio(scene, case))


def _other_ratio(scene: Scene, case: Case) -> Shot:
    ask = scene.ask
    ratio = case.arg or next(each for each in ask.model.ratios if each != ask.ratio)
    if ratio not in PIXELS:
        raise case.bad_argument("an aspect ratio")
    return shot(dataclasses.replace(ask, ratio=ratio), "final", ask.size)


def _thought_first(scene: Scene, _: Case) -> Scene:
    thoughts: tuple[Part, ...] = (
        Words(text="**Drafting**\n\nA first sketch.\n", thought=True),
        thought_shot(scene.ask),
    )
    rest = tuple(part for part in scene.parts if not part.thought)
    return dataclasses.replace(scene, parts=(*thoughts, *rest))


def _extra_images(scene: Scene, case: Case) -> Scene:
    number = case.whole(2)
    if not 1 <= number <= _MOST_EXTRAS:
        raise case.bad_argument(f"from 1 to {_MOST_EXTRAS}")
    extras = (shot(scene.ask, "extra", "1K"),) * number
    before = tuple(part for part in scene.parts if not _is_final(part))
    return dataclasses.replace(scene, parts=(*before, *extras, *_finals(scene)))


def _image_only(scene: Scene, _: Case) -> Scene:
    return dataclasses.replace(scene, parts=scene.shots)


def _image_first(scene: Scene, _: Case) -> Scene:
    words = tuple(part for part in scene.parts if not _is_final(part))
    return dataclasses.replace(scene, parts=(*_finals(scene), *words))


def drawn_smaller(scene: Scene) -> Scene:
    """1K pixels under the usage numbers of the size that was asked for."""
    small = shot(scene.ask, "final", "1K")
    asked = shot(scene.ask, "final", scene.ask.size)
    return _with_final(scene, dataclasses.replace(small, tokens=asked.tokens))


def drawn_otherwise(scene: Scene, case: Case) -> Scene:
    """Another ratio's pixels."""
    return _with_final(scene, _other_ratio(scene, dataclasses.replace(case, arg="")))


def _with_final(scene: Scene, new: Shot) -> Scene:
    parts = tuple(new if _is_final(part) else part for part in scene.parts)
    return dataclasses.replace(scene, parts=parts)


def _finals(scene: Scene) -> tuple[Part, ...]:
    return tuple(part for part in scene.parts if _is_final(part))


def _is_final(part: Part) -> bool:
    return isinstance(part, Shot) and part.role == "final"


FAULTS = table(
    Fault(
        name="silent-1k",
        explain="HTTP 200 with a 1K picture and 1K usage, whatever size was asked",
        scene=_silent_1k,
    ),
    Fault(
        name="wrong-ratio",
        explain="a picture of another ratio; ARG that ratio",
        scene=_wrong_ratio,
    ),
    Fault(
        name="thought-first",
        explain="an unrequested interim image marked thought, then the final one",
        scene=_thought_first,
    ),
    Fault(
        name="extra-images",
        explain="ARG (2) unmarked 1K images before the final one, every one billed",
        scene=_extra_images,
    ),
    Fault(name="image-only", explain="no text part beside the picture", scene=_image_only),
    Fault(name="image-first", explain="the text part after the picture", scene=_image_first),
)
