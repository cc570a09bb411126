"""The text that is sent: the prompt, and in words what its images, casts and area are for.

Pure. Invariant: a prompt without any of these is sent as it is; what stands in the prompt is never
left out, only `@name` becomes the name and number of its image, because that is how these models
tell images apart (by their order).
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from heliograph.types import Area, Cast, Reference, Turn

# what each role asks of the model; short, because every word is one more to weigh
ROLE_WORDS = {
    "object": "an object to include; keep its shape, material and colours",
    "character": "a character; keep face, build, hair, clothes and colours the same",
    "style": "a style to follow; take its look, not what it shows",
    "subject": "the subject of the picture; keep it recognisable",
    "scene": "the scene that everything takes place in",
    "pose": "a pose to follow; take the posture, not the person",
    "base": "the picture to change; keep everything that is not asked to change",
    "mark": "the picture to change once more, with the area to change painted in magenta",
}
AREA_WORDS = (
    "Change only what lies inside the area painted in magenta. Everything outside of it stays "
    "exactly as it is: same framing, same light, same details. The result shows no magenta."
)
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,39}")
# not within an address such as me@host; Chinese has no spaces, so its characters may stand around
_MENTION = re.compile(
    r"(?<![A-Za-z0-9\u00c0-\u024f_@.+-])@([A-Za-z][A-Za-z0-9_-]{0,39})(?![A-Za-z0-9\u00c0-\u024f_-])"
)


def words(
    prompt: str, references: Sequence[Reference], casts: Sequence[Cast], area: Area | None
) -> str:
    """The text for a prompt with these images, in this order."""
    numbers = {r.label.lower(): n for n, r in enumerate(references, start=1) if r.label}

    def named(match: re.Match[str]) -> str:
        number = numbers.get(match[1].lower())
        return match[0] if number is None else f"{match[1]} (image {number} below)"

    paragraphs = [_MENTION.sub(named, prompt)]
    lines = [_line(number, item) for number, item in enumerate(references, start=1)]
    if any(r.role or r.label for r in references):
        paragraphs.append("\n".join(("The images that follow this text, in order:", *lines)))
    paragraphs += [f"{cast.name}: {cast.description}" for cast in casts if cast.description]
    if area is not None:
        paragraphs.append(AREA_WORDS)
    return "\n\n".join(paragraphs)


def as_told(turn: Turn) -> Turn:
    """An earlier turn in the words for those of its images that still go back.

    Where to change something was said for that turn alone, so it is not said again.
    """
    if not turn.prompt:
        return turn
    return replace(turn, words=words(turn.prompt, turn.references, turn.casts, None))


def mentions(prompt: str) -> tuple[str, ...]:
    """The names that a prompt calls with @, as spelled, each once."""
    return tuple(dict.fromkeys(_MENTION.findall(prompt)))


def _line(number: int, item: Reference) -> str:
    name = f" {item.label}" if item.label else ""
    meaning = ROLE_WORDS.get(item.role or "", "a reference")
    return f"Image {number}{name}: {meaning}."
