"""A prompt in sections, and the one paragraph that is sent.

Invariant: rendering adds section names, full stops and constraints, and changes no word of the
rest; what is not wanted is said as what is (`negative.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from heliograph.errors import InvalidRequest, Problem
from heliograph.prompts.negative import constraints
from heliograph.prompts.reading import Table

SECTIONS = ("subject", "style", "composition", "technical")
# full stops and closing marks in the scripts that these models read best
_ENDS = (".", "!", "?", "…", "。", "！", "？", "॥", "।")
_CLOSING = "\"'”’»」』)]"


@dataclass(frozen=True, kw_only=True)
class Structured:
    """What to draw, in sections; each is text that may hold wildcards and variables."""

    subject: str  # what is shown, and what it does
    style: str | None = None  # medium, period, mood, palette
    composition: str | None = None  # framing, viewpoint, arrangement
    technical: str | None = None  # camera, lens, light, material
    negative: tuple[str, ...] = ()  # what is not wanted, one thing or several with commas each

    def render(self) -> str:
        """One paragraph: the subject first, then named sections, constraints last."""
        parts = [_sentence(self.subject)]
        for name in SECTIONS[1:]:
            text = getattr(self, name)
            if text and text.strip():
                parts.append(f"{name.capitalize()}: {_sentence(text)}")
        wanted = constraints(self.negative)
        if wanted:
            parts.append(_sentence(f"Constraints: {'; '.join(wanted)}"))
        return " ".join(parts)

    def changed(self, sections: Mapping[str, str], negative: tuple[str, ...]) -> "Structured":
        """With other sections in place of its own, and with more that is not wanted."""
        given: dict[str, Any] = dict(sections)
        return replace(self, **given, negative=(*self.negative, *negative))


def read_structured(values: Mapping[str, Any], *, where: str = "") -> Structured:
    """A structured prompt from the table of a document.

    A section is a text, a list of texts, or a table of named texts (`lens: 85 mm`).

    Args:
        where: names the table in messages.

    Raises:
        InvalidRequest: lists every problem.
    """
    problems: list[Problem] = []
    table = Table(values, where, problems)
    found = {name: _section(table, name) for name in SECTIONS}
    negative = table.texts("negative")
    table.refuse_others()
    subject = found.pop("subject")
    if not subject and not any(p.field.endswith("subject") for p in problems):
        table.problem("subject", "", "is needed: what is shown")
    if problems or subject is None:
        raise InvalidRequest(problems)
    return Structured(subject=subject, negative=negative, **found)


def _section(table: Table, name: str) -> str | None:
    value = table.raw(name)
    if isinstance(value, dict):
        for key, one in value.items():
            if not isinstance(one, str):
                table.problem(f"{name}.{key}", one, "must be text")
        return "; ".join(f"{key}: {one}" for key, one in value.items()) or None
    return ", ".join(table.texts(name)).strip() or None


def _sentence(text: str) -> str:
    text = text.strip()
    last = text.rstrip(_CLOSING)
    return text if last.endswith(_ENDS) else f"{text}."
