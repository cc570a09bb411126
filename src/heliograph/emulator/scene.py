"""What an answer will consist of, before anything is drawn; invariant: nothing here does work.

Faults that change the layout of an answer replace a Scene by another one. Part layouts and token
counts: shared facts sections 1.4, 2.3, 2.4 and 13.
"""

from dataclasses import dataclass
from random import Random
from typing import Literal

from heliograph.emulator.asking import Ask
from heliograph.emulator.models import PIXELS

Role = Literal["final", "thought", "extra"]
ContentShape = Literal["full", "empty", "role", "null", "absent"]

_THOUGHT_TOKENS = {"MINIMAL": (20, 60), "HIGH": (300, 660)}
_USUAL_THOUGHT_TOKENS = (174, 529)


@dataclass(frozen=True, kw_only=True)
class Words:
    """A text part."""

    text: str
    thought: bool = False


@dataclass(frozen=True, kw_only=True)
class Shot:
    """An image part: what is drawn and what it counts for."""

    role: Role
    width: int
    height: int
    tokens: int
    """Output tokens billed as image; 0 for a thought."""

    @property
    def thought(self) -> bool:
        """Whether the part is marked as a thought."""
        return self.role == "thought"


Part = Words | Shot


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One answer in outline."""

    ask: Ask
    parts: tuple[Part, ...]
    thought_tokens: int
    web_queries: tuple[str, ...] = ()
    image_queries: tuple[str, ...] = ()
    finish_reason: str = "STOP"
    finish_message: str = ""
    block_reason: str = ""
    content: ContentShape = "full"
    has_candidate: bool = True
    charged: bool = True
    """Whether the tokens in the usage numbers are billed."""

    @property
    def shots(self) -> tuple[Shot, ...]:
        """The image parts, in order."""
        return tuple(part for part in self.parts if isinstance(part, Shot))


def compose(ask: Ask, dice: Random) -> Scene:
    """The ordinary answer to a request."""
    parts: list[Part] = []
    if ask.wants_image and ask.include_thoughts:
        parts += [Words(text=_thinking_text(ask), thought=True), thought_shot(ask)]
    elif ask.include_thoughts:
        parts.append(Words(text=_thinking_text(ask), thought=True))
    if ask.wants_text:
        parts.append(Words(text=_caption(ask)))
    if ask.wants_image:
        parts.append(shot(ask, "final", ask.size))
    web, image = _queries(ask, dice)
    thought_tokens = dice.randint(*_THOUGHT_TOKENS.get(ask.thinking_level, _USUAL_THOUGHT_TOKENS))
    needed = thought_tokens + sum(part.tokens for part in parts if isinstance(part, Shot))
    fits = not ask.max_output_tokens or needed <= ask.max_output_tokens
    return Scene(
        ask=ask,
        parts=tuple(parts) if fits else (),
        finish_reason="STOP" if fits else "MAX_TOKENS",
        thought_tokens=thought_tokens,
        web_queries=web,
        image_queries=image,
    )


def shot(ask: Ask, role: Role, size: str) -> Shot:
    """An image at the table's pixels for a size."""
    width, height = PIXELS[ask.ratio][size]
    return Shot(role=role, width=width, height=height, tokens=ask.model.image_tokens[size])


def thought_shot(ask: Ask) -> Shot:
    """The interim image: about 1K whatever was asked, and never billed as an image."""
    width, height = PIXELS[ask.ratio]["1K"]
    return Shot(role="thought", width=width, height=height, tokens=0)


def _thinking_text(ask: Ask) -> str:
    return f"**Composing the scene**\n\nPlanning a {ask.ratio} picture for: {_topic(ask)}\n"


def _caption(ask: Ask) -> str:
    if not ask.wants_image:
        return f"(simulated) This model was asked for text only: {_topic(ask)}"
    verb = "edited" if ask.sources else "new"
    return f"Here is the {verb} picture (simulated): {_topic(ask)}"


def _topic(ask: Ask) -> str:
    topic = " ".join(ask.prompt.split())
    return topic if len(topic) <= 80 else topic[:79] + "…"


def _queries(ask: Ask, dice: Random) -> tuple[tuple[str, ...], tuple[str, ...]]:
    topic = _topic(ask)[:60]
    phrases = (topic, f"{topic} facts", f"{topic} reference")
    web = phrases[: dice.randint(1, 3)] if ask.web_search else ()
    image = (f"{topic} photo",) if ask.image_search else ()
    return web, image
