"""Reads a prompt into what the painters need to know.

Invariant: pure; any text whatever gives a brief, and the same text gives the same one.
"""

import re
from dataclasses import dataclass

from heliograph.emulator.painting.vocabulary import (
    CHANGES,
    MOODS,
    PROPS,
    SCENES,
    THINGS,
    WATERS,
    WEATHERS,
    Rows,
)

_QUOTED = re.compile(
    r"\"([^\"]+)\"|“([^”]+)”|「([^」]+)」|『([^』]+)』|«([^»]+)»|(?<!\w)'([^']+(?:'\w[^']*)*)'(?!\w)"
)
_LONGEST_LINE = 160
_MOST_LINES = 3


@dataclass(frozen=True, kw_only=True)
class Brief:
    """A prompt, understood."""

    moods: tuple[str, ...]
    """Palettes asked for, the most particular first."""
    scenes: tuple[str, ...]
    """Compositions asked for, the most particular first."""
    things: tuple[str, ...]
    """Silhouettes to place."""
    props: tuple[str, ...]
    """Objects on the table of a still life."""
    weathers: tuple[str, ...]
    """Aurora, rain, snow, mist."""
    changes: tuple[str, ...]
    """What an edit asks for."""
    water: bool
    """Whether land meets water."""
    words: tuple[str, ...]
    """Text to set in type, in order."""


def read(prompt: str) -> Brief:
    """The brief of a prompt."""
    words = _quoted(prompt)
    # Quoted text is to be set, not obeyed: a sign saying "night" is not a night scene.
    # And a snow leopard brings no snow.
    rest = _QUOTED.sub(" ", prompt).lower().replace("snow leopard", "leopard")
    return Brief(
        moods=_matches(MOODS, rest),
        scenes=_matches(SCENES, rest),
        things=_matches(THINGS, rest),
        props=_matches(PROPS, rest),
        weathers=_matches(WEATHERS, rest),
        changes=_matches(CHANGES, rest),
        water=_has(WATERS, rest),
        words=words,
    )


def _quoted(prompt: str) -> tuple[str, ...]:
    found = (" ".join(next(filter(None, match)).split()) for match in _QUOTED.findall(prompt))
    return tuple(_shortened(text) for text in found if text)[:_MOST_LINES]


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST_LINE else text[: _LONGEST_LINE - 1].rstrip() + "…"


def _matches(rows: Rows, text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name, words in rows if _has(words, text)))


def _has(words: tuple[str, ...], text: str) -> bool:
    return any(_found(word, text) for word in words)


def _found(word: str, text: str) -> bool:
    if not word.isascii():
        return word in text
    return re.search(rf"\b{re.escape(word)}(?:e?s)?\b", text) is not None
