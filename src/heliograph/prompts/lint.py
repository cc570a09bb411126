"""What is probably not meant in a prompt: each a warning with a remedy, never a change.

Invariant: pure, and the text is left alone; what a person may well mean is not warned of (joined
emoji, direction marks in right-to-left text, inches, sizes within quotation marks).
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST_SHOWN = 3  # places in one message
NEARLY_FULL = 80  # per cent of the tokens that a model reads
_JOINERS = "\u200c\u200d"  # they join emoji, and letters of Arabic and Indic scripts
_MARKS = "\u200e\u200f\u061c"  # they belong into right-to-left text
_LAYOUT = "\n\t"
_INCHES = re.compile(r"(?<=\d)\"")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|„[^“”]*[“”]|«[^»]*»|「[^」]*」|『[^』]*』")
_TIER = re.compile(r"(?<![\w.,$€£])(1|2|4|8|16)\s?[kK](?![\w])")
_PIXELS = re.compile(r"(?<!\d)(\d{3,5})\s?[x×]\s?(\d{3,5})(?!\d)")
_DASHED = re.compile(r"(?:(?<=\s)|^)--([a-z]{1,8})\b(?:\s+([\w:./]+))?")
_EMPHASIS = re.compile(r"\([^()]{1,80}:\s?\d(?:\.\d+)?\)")
_OPTIONS = {  # flags of other tools that people leave in a text, and ours for it
    "ar": "--aspect",
    "aspect": "--aspect",
    "seed": "--seed",
    "no": "--negative",
    **dict.fromkeys(("v", "q", "s", "c", "stylize", "style", "niji", "chaos", "quality"), None),
}


@dataclass(frozen=True, kw_only=True)
class Concern:
    """One thing that is probably not meant."""

    code: str  # stable, for programs
    message: str  # what was found, and where
    remedy: str  # what to do about it

    def __str__(self) -> str:
        return f"{self.message}. {self.remedy}"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What the picture is to be, as far as words could contradict it."""

    size: str | None = None  # tier: "4K"
    pixels: Sequence[str] = ()  # of the original and of the finished files: "5504x3072"
    tokens: int = 0  # of the prompt, counted or estimated
    most_tokens: int | None = None  # that the model reads


def lint(text: str, asked: Asked | None = None) -> tuple[Concern, ...]:
    """Everything about a prompt that its author should look at."""
    asked = asked or Asked()
    return tuple(
        concern for check in (_invisible, _quotes, _foreign) for concern in check(text)
    ) + tuple(concern for check in (_sizes, _length) for concern in check(text, asked))


def _invisible(text: str) -> Iterator[Concern]:
    hidden = [i for i, character in enumerate(text) if _is_hidden(text, i, character)]
    if not hidden:
        return
    places = ", ".join(f"{_code(text[i])} at {i + 1}" for i in hidden[:MOST_SHOWN])
    more = f" and {len(hidden) - MOST_SHOWN} more" if len(hidden) > MOST_SHOWN else ""
    characters = "1 character" if len(hidden) == 1 else f"{len(hidden)} characters"
    yield Concern(
        code="invisible_characters",
        message=f"{characters} cannot be seen but will be sent ({places}{more})",
        remedy="Retype that part, unless they are meant; they often come along with a copy.",
    )


def _is_hidden(text: str, at: int, character: str) -> bool:
    if character.isascii():
        return not (character.isprintable() or character in _LAYOUT)
    if character in _JOINERS:
        before = text[at - 1] if at else ""
        return not before or unicodedata.category(before) not in ("So", "Sk", "Mn", "Mc", "Lo")
    if character in _MARKS:
        return not any(unicodedata.bidirectional(c) in ("R", "AL") for c in text)
    if character in "\u2028\u2029":
        return True
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co")


def _code(character: str) -> str:
    name = unicodedata.name(character, "").lower()
    return f"U+{ord(character):04X}" + (f" {name}" if name else "")


def _quotes(text: str) -> Iterator[Concern]:
    # 27" is a size, unless a quotation needs the mark to close
    plain = text if text.count('"') % 2 == 0 else _INCHES.sub(" ", text)
    if plain.count('"') % 2:
        yield _open_quote(text, plain.rindex('"'))
    for opening, closing in _families(text):
        extra = _extra(text, opening, closing)
        if extra:
            yield _open_quote(text, text.rindex(extra))


def _families(text: str) -> Iterator[tuple[str, str]]:
    """Marks that open, and those that close: languages use the same ones differently."""
    if "„" in text:
        yield "„", "“" if "“" in text else "”"
    else:
        yield "“", "”"
    yield from (("«", "»"), ("‹", "›"), ("「", "」"), ("『", "』"))


def _extra(text: str, opening: str, closing: str) -> str | None:
    opens, closes = text.count(opening), text.count(closing)
    if opens == closes or (not opens and opening == "“" and closes % 2 == 0):
        return None  # Swedish has the same mark on both sides
    return opening if opens > closes else closing


def _open_quote(text: str, at: int) -> Concern:
    shown = " ".join(text[at : at + 24].split())
    return Concern(
        code="unbalanced_quotes",
        message=f"The quotation mark {text[at]} at character {at + 1} has no partner ({shown} …)",
        remedy="Put a mark on both sides of the words to be drawn; the model reads where they end.",
    )


def _sizes(text: str, asked: Asked) -> Iterator[Concern]:
    bare = _QUOTED.sub(lambda found: " " * len(found[0]), text)
    tiers = dict.fromkeys(f"{found[1]}K" for found in _TIER.finditer(bare))
    for tier in tiers:
        if asked.size and tier != asked.size:
            pixels = f" ({asked.pixels[0]} px)" if asked.pixels else ""
            yield Concern(
                code="size_in_words",
                message=f"The prompt says {tier}, and the picture asked for is {asked.size}"
                f"{pixels}; words in a prompt do not change it",
                remedy=_ask_for(tier),
            )
    for found in _PIXELS.finditer(bare):
        words = f"{found[1]}x{found[2]}"
        if asked.pixels and words not in asked.pixels:
            yield Concern(
                code="pixels_in_words",
                message=f"The prompt says {words}, and the picture asked for is "
                f"{asked.pixels[-1]} px; words in a prompt do not change it",
                remedy=f"Ask with --pixels {words}, or take the words out.",
            )


def _ask_for(tier: str) -> str:
    if tier in ("8K", "16K"):
        return "No model makes it: take the word out; 4K is the largest."
    return f"Ask with --size {tier}, or take the word out."


def _length(text: str, asked: Asked) -> Iterator[Concern]:
    most = asked.most_tokens
    if most and asked.tokens * 100 > most * NEARLY_FULL:
        over = asked.tokens > most
        yield Concern(
            code="too_long" if over else "nearly_too_long",
            message=f"The prompt has about {asked.tokens} tokens in {len(text)} characters; the "
            f"model reads {most}, references included",
            remedy="Shorten it: what stands far back has little effect anyway.",
        )


def _foreign(text: str) -> Iterator[Concern]:
    for found in _DASHED.finditer(text):
        ours = _OPTIONS.get(found[1], found[1])
        if found[1] not in _OPTIONS:
            continue
        instead = f"Use the option {ours} outside the prompt" if ours else "Take it out"
        yield Concern(
            code="option_in_words",
            message=f"“{found[0].strip()}” is an option of another tool; here it is read as words",
            remedy=f"{instead}.",
        )
    if emphasis := _EMPHASIS.search(text):
        yield Concern(
            code="weight_in_words",
            message=f"“{emphasis[0]}” is a weight of another tool; here it is read as words",
            remedy="Say it in words: “above all”, “only a little”.",
        )
