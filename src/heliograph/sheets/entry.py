"""What stands on a contact sheet: entries, totals, and the words they are told in. Pure.

Invariant: simulated and real money are never summed together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from heliograph.money import dollars
from heliograph.types import Grounding, Outcome, Pixels, Record, Verdict

SHORT = 160  # characters, where there is room for a line or two
STATES = {
    Verdict.VERIFIED: "verified",
    Verdict.DOWNGRADED: "smaller than asked",
    Verdict.RATIO_MISMATCH: "other ratio than asked",
    Verdict.UNASKED: "no exact size asked",
}
NO_PICTURE = {
    Outcome.REFUSED: "The answer held no picture.",
    Outcome.QUARANTINED: "The picture arrived damaged.",
    Outcome.UNKNOWN: "The outcome of this call is unknown.",
}


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small picture."""

    path: Path
    data: bytes  # WebP
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One record on a sheet."""

    record: Record
    thumbnail: Thumbnail | None
    missing: str | None = None  # why there is no picture, one sentence


@dataclass(frozen=True, kw_only=True)
class Totals:
    """What a sheet comes to; simulated and real money are never summed together."""

    calls: int
    pictures: int
    real: int | None  # micro-dollars; None without a real call
    simulated: int | None  # micro-dollars; None without a simulated call

    def __str__(self) -> str:
        several = "" if self.pictures == 1 else "s"
        words = [f"{self.pictures} picture{several}"]
        if self.calls != self.pictures:
            words.append(f"{self.calls} calls")
        if self.real is not None:
            words.append(f"cost {dollars(self.real)}")
        if self.simulated is not None:
            words.append(f"simulated {dollars(self.simulated)}, no money")
        return " · ".join(words)


def totals(records: Sequence[Record]) -> Totals:
    """Count pictures and add up what they cost."""
    real = [r.cost for r in records if not r.simulated]
    simulated = [r.cost for r in records if r.simulated]
    return Totals(
        calls=len(records),
        pictures=sum(1 for r in records if r.result),
        real=sum(real) if real else None,
        simulated=sum(simulated) if simulated else None,
    )


def grounding_of(record: Record) -> Grounding | None:
    """What a record is grounded on, read from its facts; None when it rests on no search."""
    facts = record.grounding
    sources = facts.get("sources")
    kept = [s for s in sources if isinstance(s, Mapping)] if isinstance(sources, list) else []
    entry = facts.get("entry_point")
    found = Grounding(
        queries=_strings(facts.get("queries")),
        image_queries=_strings(facts.get("image_queries")),
        sources=tuple({k: v for k, v in s.items() if isinstance(v, str)} for s in kept),
        entry_point=entry if isinstance(entry, str) and entry.strip() else None,
    )
    return found if found != Grounding() else None


def _strings(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def state(record: Record) -> str:
    """The pixels and how they compare with what was asked, or why there are none."""
    if record.result is None:
        return f"no picture, {record.outcome.value}"
    state = STATES[record.verdict] if record.verdict else ""
    return f"{record.result.pixels} {state}".strip()


def when(moment: datetime) -> str:
    """A moment to the minute, UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def short(text: str) -> str:
    """Text on one line, cut where it is long."""
    line = one_line(text)
    return line if len(line) <= SHORT else line[: SHORT - 1] + "…"


def one_line(text: str) -> str:
    """Text on one line, without characters that would steer whatever shows it."""
    return " ".join(clean(text).split())


def clean(text: str) -> str:
    """Text without control characters and halves of characters, which no page may hold.

    Marks that turn the direction of what follows stay: every text is shown in isolation.
    """
    kept = text.replace("\r\n", "\n").replace("\r", "\n")
    return "".join(c if _may_stand(c) else "\N{REPLACEMENT CHARACTER}" for c in kept)


def _may_stand(character: str) -> bool:
    code = ord(character)
    return character in "\n\t" or not (
        code < 0x20
        or 0x7F <= code <= 0x9F
        or 0xD800 <= code <= 0xDFFF
        or 0xFDD0 <= code <= 0xFDEF
        or code & 0xFFFE == 0xFFFE
    )
