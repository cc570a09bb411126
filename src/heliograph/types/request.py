"""What a caller asks for, in the caller's own spelling. Units: pixels, bytes, micro-dollars."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})
# what an input image can be for; the words that a model reads are in `planning/wording.py`
ROLES = ("object", "character", "style", "subject", "scene", "pose")


@dataclass(frozen=True, order=True)
class Pixels:
    """An exact image size."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"

    @property
    def area(self) -> int:
        return self.width * self.height


class Anchor(Enum):
    """Which part of the picture a crop keeps."""

    CENTRE = "centre"
    TOP = "top"
    BOTTOM = "bottom"
    LEFT = "left"
    RIGHT = "right"
    TOP_LEFT = "top-left"
    TOP_RIGHT = "top-right"
    BOTTOM_LEFT = "bottom-left"
    BOTTOM_RIGHT = "bottom-right"


@dataclass(frozen=True, kw_only=True)
class Finish:
    """How exports are made from the original; the original itself is never touched."""

    format: str | None = (
        None  # "jpeg" | "png" | "webp" | "avif" | "tiff"; None keeps the original's
    )
    quality: int | None = None  # 1–100, lossy formats
    max_bytes: int | None = None  # byte budget; quality is searched downwards to fit
    dpi: int | None = None  # density written into the file; pixels are not changed by it
    anchor: Anchor = Anchor.CENTRE
    srgb: bool = False  # convert to sRGB and embed the profile
    preview: bool = False  # also a WebP of at most 2048 px
    thumbnail: bool = False  # also a WebP of at most 512 px


@dataclass(frozen=True, kw_only=True)
class Given:
    """An input image and what it is for."""

    source: Path | bytes
    role: str | None = None  # one of `ROLES`
    name: str | None = None  # how the prompt calls it: "hero" for @hero


@dataclass(frozen=True, kw_only=True)
class Said:
    """One thing that the user says: words, or one of the request's pictures."""

    text: str | None = None
    sha256: str | None = None  # of the picture's bytes


@dataclass(frozen=True, kw_only=True)
class Enclosed:
    """A long string of a body that is sent as it came: a picture, or a signature."""

    path: Path  # a picture's bytes, a signature's text
    size: int  # bytes of the file
    sha256: str  # of the file
    media_type: str | None  # None for a signature


@dataclass(frozen=True, kw_only=True)
class Verbatim:
    """A whole body of generateContent, to go upstream as its client wrote it."""

    pieces: tuple[str | Enclosed, ...]  # JSON text, and the strings between it, in order
    images: int  # pictures in it, those of earlier turns too
    words: str  # all its text, for the estimate


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a caller asks for, as spelled by the caller. Planning normalises and checks it."""

    prompt: str
    model: str | None = None
    size: str | None = None  # tier: "512" | "1K" | "2K" | "4K"
    aspect: str | None = None  # ratio: "16:9"
    pixels: str | None = None  # exact export size: "4096x2304"
    use: str | None = None  # a named use: "A3 print at 300 dpi"
    references: tuple[Path | bytes | Given, ...] = ()
    system: str | None = None  # system instruction
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    safety: Mapping[str, str] = field(default_factory=lambda: NOTHING)  # category → threshold
    thinking: str | None = None  # "minimal" | "low" | "medium" | "high"
    include_thoughts: bool = False
    tier: str | None = None  # "standard" | "flex" | "priority" | "batch" (batch: estimates only)
    ground: str | None = None  # "web" | "images"
    stream: bool = False
    strict: bool = False  # other pixels than asked become an error
    max_cost: int | None = None  # micro-dollars
    tags: tuple[str, ...] = ()  # names that budgets and cost reports can go by
    fallback: tuple[str, ...] = ()  # models to ask when the first one cannot answer
    allow_downgrade: bool = False  # a fallback may make a smaller picture
    fresh: bool = False  # never answered by an identical earlier picture
    idempotency_key: str | None = None  # same key, same answer, one charge
    casts: tuple[str, ...] = ()  # names of kept sets of references
    session: str | None = None  # id of the session that the picture belongs to
    follows: str | None = None  # id of the record whose picture is to be changed
    base: Path | bytes | None = None  # or a picture of the caller's that is to be changed
    context: str | None = None  # what of the session goes back: "lineage", "all" or "last-N"
    region: tuple[int, int, int, int] | None = None  # what to change: x, y, width, height in px
    mask: Path | bytes | None = None  # or a PNG, white where the picture is to be changed
    protect: bool = False  # put the picture back as it was outside of region or mask
    feather: int | None = None  # px of soft edge inside of region or mask
    # words and pictures in the order in which they are said; nothing: the prompt, then the pictures
    layout: tuple[Said, ...] = ()
    verbatim: Verbatim | None = None  # what is sent instead of a body made of all this
    owner: str | None = None  # id of the gateway's user whom the picture belongs to
    access: str | None = None  # id of the API key it was asked with
    finish: Finish = field(default_factory=Finish)
