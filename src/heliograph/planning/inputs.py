"""Everything that goes in besides the prompt: images with roles and names, earlier turns, areas.

Invariant: like `check.py`, it adds problems and notes and returns something the next step can
work with. Earlier turns give way before the caller's own images do.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import replace

from heliograph.planning import nearest
from heliograph.planning.catalogue import Limits, Model
from heliograph.planning.cover import Original
from heliograph.planning.findings import Findings
from heliograph.planning.wording import NAME, mentions
from heliograph.types import ROLES, Area, Given, Pixels, Reference, Request, Turn

CONTEXT = re.compile(r"all|lineage|last-[1-9][0-9]{0,2}")
ID = re.compile(r"[0-9a-f]{8,64}")
LOSSY = ("jpeg", "webp", "avif")
MOST_FEATHER = 256  # px; the imager takes no wider one
SAME_RATIO = 0.03  # difference that goes unseen when a picture is stretched


def given(asked: Request, found: Findings) -> None:
    """Roles, names and what is to be changed, as far as the request itself tells."""
    for item in asked.references:
        if not isinstance(item, Given):
            continue
        if item.role is not None and item.role not in ROLES:
            close = nearest.names(item.role, ROLES) or ROLES
            found.problem("references", item.role, "is no role of an image.", close)
        if item.name is not None and not NAME.fullmatch(item.name):
            found.problem(
                "references",
                item.name,
                "is no name for an image: a letter, then at most 39 letters, digits, - or _.",
            )
    if asked.context is not None and not CONTEXT.fullmatch(asked.context):
        found.problem(
            "context", asked.context, "must be all, lineage or last-N.", ("lineage", "last-1")
        )
    for name in ("session", "follows"):
        value = getattr(asked, name)
        if value is not None and not ID.fullmatch(value):
            found.problem(name, value, "must be an id: 8 to 64 of 0-9 and a-f.")
    _area(asked, found)


def _area(asked: Request, found: Findings) -> None:
    has_picture = asked.base is not None or asked.follows is not None
    if asked.base is not None and asked.follows is not None:
        found.problem("base", "a picture", "cannot stand beside a kept picture; leave one out.")
    area = "region" if asked.region is not None else "mask" if asked.mask is not None else None
    if asked.region is not None and asked.mask is not None:
        found.problem("mask", "a mask", "cannot stand beside a region; leave one out.")
    if area and not has_picture:
        found.problem(area, "an area", "needs a picture that is to be changed.")
    for name in ("protect", "feather"):
        if getattr(asked, name) not in (None, False) and area is None:
            found.problem(name, getattr(asked, name), "needs a region or a mask.")
    if asked.feather is not None and not 0 <= asked.feather <= MOST_FEATHER:
        found.problem("feather", asked.feather, f"must be from 0 to {MOST_FEATHER} px.")
    if asked.protect and asked.finish.format in LOSSY:
        found.problem(
            "format",
            asked.finish.format,
            "loses detail, and protect keeps every pixel outside of the area.",
            ("png", "tiff"),
        )


def images(
    references: Sequence[Reference],
    count: int,
    model: Model,
    limits: Limits,
    found: Findings,
) -> None:
    """Input images of this turn: how many, of which kinds, called what, how heavy together."""
    if count > model.can.references:
        found.problem(
            "references",
            f"{count} images",
            f"{model.id} takes at most {model.can.references} ({model.can.reference_split})",
            [str(model.can.references)],
        )
    for item in references:
        if item.media_type not in model.can.media_types:
            found.problem(
                "references",
                f"{item.name} ({item.media_type})",
                f"is no image type that {model.id} reads.",
                model.can.media_types,
            )
    names = [item.label.lower() for item in references if item.label]
    for name in dict.fromkeys(n for n in names if names.count(n) > 1):
        found.problem("references", name, "is the name of two images.")
    _weight(references, limits, found)


def _weight(references: Sequence[Reference], limits: Limits, found: Findings) -> None:
    # Base64 makes three bytes four, and the limit is on what is sent.
    sent = sum(-(-item.size // 3) * 4 for item in references)
    if sent > limits.inline_bytes:
        found.note(
            f"The input images are {sent} bytes as sent (base64), and a request carries at most "
            f"{limits.inline_bytes}: they go through the Files API."
        )


def unknown_names(prompt: str, references: Sequence[Reference], found: Findings) -> None:
    """A note for every @name that no image has; it may be meant as it stands."""
    known = {item.label.lower() for item in references if item.label}
    if not known:
        return
    for name in mentions(prompt):
        if name.lower() not in known:
            found.note(f"No image is called @{name}; it is sent as it stands.")


def covering(
    picture: Pixels, made: Sequence[Original], size: str | None, ratio: str | None
) -> Original:
    """What to ask for when the rest of a picture is put back: its ratio, and no more pixels.

    A size or ratio that is given stays; where no size has as many pixels, the largest.
    """
    kept = [o for o in made if size in (None, o.size)] or list(made)
    kept = [o for o in kept if ratio in (None, o.ratio)] or kept
    nearest_ratio = min(kept, key=lambda o: _stretch(picture, o.pixels)).ratio
    kept = sorted((o for o in kept if o.ratio == nearest_ratio), key=lambda o: o.rank)
    return next((o for o in kept if o.pixels.area >= picture.area * (1 - SAME_RATIO)), kept[-1])


def same_ratio(area: Area | None, ratio: str, made: Sequence[Original], found: Findings) -> None:
    """A problem where the rest of a picture could only be put back by stretching the new part."""
    if area is None or not area.protect:
        return
    picture = area.picture.pixels
    fits = {o.ratio: _stretch(picture, o.pixels) <= SAME_RATIO for o in made}
    if fits.get(ratio):
        return
    near = [each for each, is_same in fits.items() if is_same]
    found.problem(
        "aspect",
        ratio,
        f"is not the ratio of the picture ({picture}), so the rest could not be put back as it "
        f"was{'' if near else '; crop the picture to a ratio of the model first'}.",
        near or list(fits),
    )


def _stretch(picture: Pixels, other: Pixels) -> float:
    return abs(math.log(picture.width * other.height / (picture.height * other.width)))


def fitting(history: Sequence[Turn], taken: int, model: Model, found: Findings) -> tuple[Turn, ...]:
    """Earlier turns with as many of their images as there is room for beside this turn's.

    The oldest input images give way first, then the oldest answers; the last answer, which is what
    is being changed, stays.

    Args:
        taken: images of this turn.
    """
    room = model.can.references - taken
    turns = list(history)
    surplus = sum(images_of(turn) for turn in turns) - room
    dropped = 0
    for place, turn in enumerate(turns):
        leave = min(max(0, surplus - dropped), len(turn.references))
        if leave:
            turns[place] = replace(turn, references=turn.references[leave:])
            dropped += leave
    for place, turn in enumerate(turns[:-1]):
        if surplus > dropped and turn.answer:
            dropped += sum(part.image is not None for part in turn.answer)
            turns[place] = replace(turn, answer=())
    if taken <= model.can.references and dropped < surplus:
        found.problem(
            "references",
            f"{taken} images",
            f"leave no room for the picture that is changed: {model.id} takes at most "
            f"{model.can.references} images in all.",
            [str(max(0, taken - (surplus - dropped)))],
        )
    if dropped:
        # the upstream's own memory of the talk would bring them back, unpriced
        turns[-1] = replace(turns[-1], remote=None, project=None)
        found.note(
            f"{model.id} takes at most {model.can.references} images: {dropped} of earlier turns "
            "do not go back."
        )
    return tuple(turns)


def images_of(turn: Turn) -> int:
    """Images of a turn that go back."""
    return len(turn.references) + sum(part.image is not None for part in turn.answer)
