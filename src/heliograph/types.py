"""The nouns: Request → Plan → Reply → Image → Record → Result.

All frozen and keyword-only. Each step of the pipeline takes one and returns the next; nothing
reaches back. Units: pixels, bytes, seconds, micro-dollars (1e-6 $).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

from heliograph.errors import Refused, StorageError
from heliograph.money import Rates
from heliograph.placing import place

NOTHING: Mapping[str, Any] = MappingProxyType({})
# what a file name promises
SUFFIX_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe"), "jpeg"),
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    **{f".{kind}": kind for kind in ("png", "webp", "avif")},
}


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


# ---------------------------------------------------------------- Request


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
class Request:
    """What a caller asks for, as spelled by the caller. Planning normalises and checks it."""

    prompt: str
    model: str | None = None
    size: str | None = None  # tier: "512" | "1K" | "2K" | "4K"
    aspect: str | None = None  # ratio: "16:9"
    pixels: str | None = None  # exact export size: "4096x2304"
    use: str | None = None  # a named use: "A3 print at 300 dpi"
    references: tuple[Path | bytes, ...] = ()
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
    finish: Finish = field(default_factory=Finish)


# ---------------------------------------------------------------- Plan


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One input image, checked from its header; its bytes are sent as they are."""

    source: Path | bytes
    media_type: str
    pixels: Pixels
    size: int  # bytes
    sha256: str
    name: str  # for messages and provenance only, never used as a path


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
    references: tuple[Reference, ...]
    ground: str | None
    thinking: str | None
    exports: tuple[ExportSpec, ...]
    estimate: Estimate
    prices: PricedModel
    alternatives: tuple[Alternative, ...] = ()
    notes: tuple[str, ...] = ()  # things the caller should know, one sentence each


# ---------------------------------------------------------------- Reply


@dataclass(frozen=True, kw_only=True)
class Signature:
    """One thought signature, spooled byte-exact."""

    path: Path
    size: int  # bytes of the base64 text
    sha256: str  # of the base64 text


@dataclass(frozen=True, kw_only=True)
class ReplyImage:
    """One image part as it arrived: decoded from base64, not yet looked at."""

    position: int  # among the parts of the answer
    path: Path  # spool file
    size: int  # bytes
    sha256: str
    declared_type: str | None  # the upstream's word; never believed
    thought: bool
    signature: Signature | None = None
    defect: str | None = None  # why the bytes cannot be whole (bad base64, cut off)


@dataclass(frozen=True, kw_only=True)
class ReplyText:
    """One text part."""

    position: int  # among the parts of the answer
    text: str
    thought: bool
    signature: Signature | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Token counts as the upstream reported them, already sane (≥ 0, in range)."""

    prompt_tokens: int
    candidate_tokens: int  # all output but thinking
    image_tokens: int  # the part of candidate_tokens that is images
    thought_tokens: int
    tool_tokens: int = 0
    tier: str | None = None  # the tier it was served in
    anomaly: str | None = None  # what was wrong with the reported numbers, when something was


@dataclass(frozen=True, kw_only=True)
class Grounding:
    """What a search-grounded answer rests on. Google requires showing `entry_point`."""

    queries: tuple[str, ...] = ()
    image_queries: tuple[str, ...] = ()
    sources: tuple[Mapping[str, str], ...] = ()  # uri, title, and for images image_uri, domain
    entry_point: str | None = None  # HTML to display


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Seconds since the call began, monotonic clock."""

    connected: float | None = None
    sent: float | None = None
    first_byte: float | None = None
    done: float | None = None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A whole answer of the upstream, parsed but not judged."""

    images: tuple[ReplyImage, ...]
    texts: tuple[ReplyText, ...]
    finish_reason: str | None
    finish_message: str | None
    block_reason: str | None
    block_message: str | None
    usage: Usage | None
    grounding: Grounding | None
    model_version: str | None
    response_id: str | None
    safety_ratings: tuple[Mapping[str, Any], ...] = ()
    timing: Timing = field(default_factory=Timing)
    attempts: int = 1
    salvaged: bool = False  # it broke off, after the image was complete
    unmarked: bool = False  # it broke off before the image could be marked as a thought
    refusal: Refused | None = None  # why there is no image, and whether that was charged


# ---------------------------------------------------------------- Image


class Verdict(Enum):
    """How the pixels compare with what was asked."""

    VERIFIED = "verified"  # within tolerance
    DOWNGRADED = "downgraded"  # smaller than asked
    RATIO_MISMATCH = "ratio_mismatch"  # another ratio than asked
    UNASKED = "unasked"  # nothing exact was asked, so there is nothing to hold it against


class Role(Enum):
    """What an image of an answer is."""

    RESULT = "result"  # the last image that is not a thought
    EXTRA = "extra"  # a further image that is not a thought; billed too
    DRAFT = "draft"  # a thought image


@dataclass(frozen=True, kw_only=True)
class Header:
    """What an image file says of itself, read without decoding."""

    format: str  # "jpeg" | "png" | "webp"
    media_type: str
    suffix: str  # ".jpg" | ".png" | ".webp"
    pixels: Pixels


@dataclass(frozen=True, kw_only=True)
class Image:
    """One image of an answer, checked."""

    path: Path
    sha256: str
    size: int  # bytes
    header: Header
    role: Role
    verdict: Verdict
    returned_size: str | None = None  # the size tier that the pixels amount to
    warnings: tuple[str, ...] = ()
    signature: Signature | None = None
    received: str | None = None  # SHA-256 as it came, where bytes behind its end were cut off


@dataclass(frozen=True, kw_only=True)
class Export:
    """One finished file."""

    name: str
    path: Path
    sha256: str
    size: int  # bytes
    format: str
    pixels: Pixels
    quality: int | None = None  # the one it was written with, where the format has one


# ---------------------------------------------------------------- Record, Result


class Outcome(Enum):
    """How a call ended."""

    KEPT = "kept"  # an image is stored
    REFUSED = "refused"  # a whole answer without an image
    QUARANTINED = "quarantined"  # paid bytes that are no intact image, kept aside
    UNKNOWN = "unknown"  # sent, never answered whole


@dataclass(frozen=True, kw_only=True)
class KeptImage:
    """One stored image of a record."""

    sha256: str
    key: str  # blob key
    role: Role
    format: str
    media_type: str
    pixels: Pixels
    size: int  # bytes
    verdict: Verdict
    signature_key: str | None = None


@dataclass(frozen=True, kw_only=True)
class LedgerLine:
    """One append-only line of the ledger."""

    entry_id: str
    record_id: str
    kind: str  # "reserve", "release", "settle", "hold", "hold_release" or "adjust"
    micro: int
    at: datetime  # UTC
    model: str
    size: str | None  # the tier that came back
    price_version: str
    simulated: bool
    call_id: str | None = None  # the call of the record's job; lines of version 0.1 name none
    # what it counts against; () in lines of version 0.1 stands for all, the day and the month
    scopes: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=lambda: NOTHING)


@dataclass(frozen=True, kw_only=True)
class Record:
    """One paid call and what came of it, with full provenance."""

    id: str
    created: datetime  # UTC
    outcome: Outcome
    prompt: str
    model: str
    size: str | None  # asked tier
    aspect: str | None
    tier: str
    verdict: Verdict | None
    images: tuple[KeptImage, ...]
    cost: int  # micro-dollars
    estimate: Estimate
    simulated: bool
    upstream: str  # host the call went to
    request: Mapping[str, Any]  # normalised request, JSON-ready, references by SHA-256
    usage: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    grounding: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    timing: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    texts: tuple[str, ...] = ()  # what the model said, thoughts left out
    # the model's turn, part by part in order, as it must go back when a talk goes on: text, or
    # image by SHA-256, with the blob key of its signature; thoughts never go back
    turn: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    finish_reason: str | None = None
    model_version: str | None = None
    response_id: str | None = None
    attempts: int = 1
    parents: tuple[str, ...] = ()  # SHA-256 of the reference images

    @property
    def result(self) -> KeptImage | None:
        """The image that answers the request, when there is one."""
        return next((i for i in self.images if i.role is Role.RESULT), None)


@dataclass(frozen=True, kw_only=True)
class Result:
    """What the caller gets: a kept image, its exports, its cost, its truth."""

    record: Record
    plan: Plan
    path: Path  # the original in the library
    exports: tuple[Export, ...]
    # where it came from: "call", or without a call and without a charge of its own "twin" (an
    # identical earlier picture), "replay" (of an idempotency key), "joined" (a call in the air)
    source: str = "call"
    preview: Callable[[], bytes | None] | None = field(default=None, repr=False)

    @property
    def pixels(self) -> Pixels:
        kept = self.record.result
        if kept is None:  # a Result is only built around a kept image
            raise AssertionError("a Result without an image")
        return kept.pixels

    @property
    def verdict(self) -> Verdict:
        return self.record.verdict or Verdict.UNASKED

    @property
    def cost(self) -> int:
        """What this request cost in micro-dollars; nothing when it needed no call of its own."""
        return self.record.cost if self.source == "call" else 0

    @property
    def simulated(self) -> bool:
        return self.record.simulated

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.record.warnings

    def save(self, destination: str | Path, *, force: bool = False) -> Path:
        """Write the first export, or else the untouched original, to `destination`.

        A folder gets the file's own name. Returns the path written.

        Raises:
            WouldOverwrite: the destination exists and `force` is not set.
            StorageError: the name promises another format, or cannot be written.
        """
        source = self.exports[0].path if self.exports else self.path
        target = Path(destination)
        wanted = SUFFIX_KINDS.get(target.suffix.lower())
        if str(destination).endswith(("/", "\\")):
            target.mkdir(parents=True, exist_ok=True)
        elif wanted and wanted != SUFFIX_KINDS.get(source.suffix):
            raise StorageError(
                f"{target.name} would hold {source.suffix[1:]} data under a wrong name.",
                remedy=f"Save it as {target.stem}{source.suffix}, or ask for "
                f'finish=Finish(format="{wanted}").',
            )
        return place(source, target, force=force)

    def _repr_png_(self) -> bytes | None:
        """Notebooks show the preview by themselves."""
        return self.preview() if self.preview else None
