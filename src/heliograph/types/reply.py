"""What came back: the answer as it arrived, and its images once they are checked.

Units: bytes, tokens, seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

from heliograph.errors import Refused
from heliograph.types.request import Pixels


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
class Answered:
    """The answer's own text, its long strings replaced by placeholders."""

    skeleton: str  # JSON, or server-sent events
    strings: Mapping[str, str]  # SHA-256 of what stood there, by placeholder


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
    # for whoever passes the answer on as it came; its placeholders are made anew by each reading
    answered: Answered | None = field(default=None, compare=False)


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
