"""A request that can be sent as it is. Units: pixels, bytes, tokens, micro-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from heliograph.money import Rates
from heliograph.types.reply import Signature
from heliograph.types.request import Anchor, Pixels, Request, Said


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One input image, checked from its header; its bytes are sent as they are."""

    source: Path | bytes
    media_type: str
    pixels: Pixels
    size: int  # bytes
    sha256: str
    name: str  # for messages and provenance only, never used as a path
    role: str | None = None  # one of `ROLES`, or "base" (to be changed) or "mark" (shows where)
    label: str | None = None  # how the prompt calls it: "hero" for @hero
    key: str | None = None  # blob key, where the library keeps it


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of a model's turn as it can go back: text or image, with its signature."""

    text: str | None = None
    image: Reference | None = None
    signature: Signature | None = None


@dataclass(frozen=True, kw_only=True)
class Cast:
    """What the model is told of a kept set of references; its images are among the plan's."""

    name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One earlier turn of a session: as much of it as goes back upstream."""

    record: str  # id
    words: str  # what was asked, as it goes back
    prompt: str = ""  # what was asked, as the caller had put it
    casts: tuple[Cast, ...] = ()  # what was told of them
    references: tuple[Reference, ...] = ()  # its input images
    layout: tuple[Said, ...] = ()  # order of what was said; nothing: the words, then the images
    answer: tuple[Part, ...] = ()  # the model's turn, thoughts left out
    model: str
    # the signatures of the answer are whole, and good at the upstream that is asked now; else
    # its images go back as the user's own
    signed: bool = False
    remote: str | None = None  # id under which the upstream keeps the talk up to here
    project: str | None = None  # where it does


@dataclass(frozen=True, kw_only=True)
class Area:
    """The part of a picture that is to be changed, and which picture."""

    picture: Reference
    region: tuple[int, int, int, int] | None = None
    mask: Reference | None = None
    feather: int = 0
    protect: bool = False  # the rest is put back as it was


@dataclass(frozen=True, kw_only=True)
class Material:
    """What the library adds to a request: earlier turns, casts, the picture that is changed."""

    history: tuple[Turn, ...] = ()
    casts: tuple[Cast, ...] = ()
    area: Area | None = None
    notes: tuple[str, ...] = ()  # what could not be had, one sentence each


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The cost before the call, in micro-dollars."""

    low: int
    expected: int
    high: int
    priced_on: str  # ISO date the price was checked
    price_version: str  # names the price row, kept on each ledger line
    notes: tuple[str, ...] = ()  # what the span rests on, one sentence each


@dataclass(frozen=True, kw_only=True)
class Alternative:
    """A cheaper way to nearly the same picture."""

    model: str
    size: str | None
    tier: str
    expected: int  # micro-dollars
    saves: int  # micro-dollars against the plan
    loses: tuple[str, ...]  # what would be lost, one sentence each


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """One file to make from the original."""

    name: str  # "export" | "preview" | "thumbnail"
    pixels: Pixels | None = None  # exact size by crop and Lanczos; None keeps it
    fit_within: int | None = None  # longest side in px, never enlarging; for preview, thumbnail
    format: str | None = None
    quality: int | None = None
    max_bytes: int | None = None
    dpi: int | None = None
    anchor: Anchor = Anchor.CENTRE
    srgb: bool = False

    @property
    def is_copy(self) -> bool:
        """True when nothing is asked but the original's own bytes."""
        return self == ExportSpec(name=self.name, anchor=self.anchor)


@dataclass(frozen=True, kw_only=True)
class PricedModel:
    """The prices a call can be settled with, whichever tier it is served in."""

    rates: Mapping[str, Rates]  # by service tier
    version: str  # price row id, for ledger lines
    image_tokens: Mapping[str, int]  # output tokens of one image by size tier
    free_queries: int  # search queries a month that cost nothing


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A request that can be sent as it is, with everything it will be held against."""

    request: Request
    model: str
    size: str | None  # the tier sent upstream; None where the model takes none
    aspect: str | None  # the ratio sent upstream; None leaves it to the model
    tier: str  # service tier
    expected: Pixels | None  # what the original must measure; None when the ratio is open
    tolerance: float  # allowed difference a side, as a fraction
    sizes: Mapping[str, Pixels]  # expected px by size tier in this ratio, to name a downgrade
    references: tuple[Reference, ...]  # base first, then those of casts, the caller's, the mark
    ground: str | None
    thinking: str | None
    exports: tuple[ExportSpec, ...]
    estimate: Estimate
    prices: PricedModel
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()  # things the caller should know, one sentence each
    words: str = ""  # the text that is sent: the prompt, with references and casts put into words
    history: tuple[Turn, ...] = ()  # earlier turns, oldest first
    casts: tuple[Cast, ...] = ()
    area: Area | None = None  # what is to be changed, where that is a part of a picture

    @property
    def carries_context(self) -> bool:
        """Whether the model's own reasoning of every turn that goes back goes with it."""
        return all(t.signed and t.model == self.model for t in self.history if t.answer)

    @property
    def text(self) -> str:
        """The text that is sent; plans of version 0.1 sent the prompt itself."""
        return self.words or self.request.prompt

    @property
    def inputs(self) -> tuple[Reference, ...]:
        """Every image that is sent, those of earlier turns first."""
        earlier = [
            image
            for turn in self.history
            for image in (*turn.references, *(p.image for p in turn.answer))
            if image is not None
        ]
        return (*earlier, *self.references)

    @property
    def upload(self) -> int:
        """Bytes of images and signatures on the wire, when all of them are sent inline."""
        signatures = (p.signature for t in self.history for p in t.answer if p.signature)
        return sum(-(-i.size // 3) * 4 for i in self.inputs) + sum(s.size for s in signatures)
