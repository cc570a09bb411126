"""What is kept of a call and what its caller gets. Units: pixels, bytes, micro-dollars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

from heliograph.errors import StorageError
from heliograph.placing import place
from heliograph.types.plan import Estimate, Plan
from heliograph.types.reply import Export, Role, Verdict
from heliograph.types.request import NOTHING, Pixels

# what a file name promises
SUFFIX_KINDS = {
    **dict.fromkeys((".jpg", ".jpeg", ".jpe"), "jpeg"),
    **dict.fromkeys((".tif", ".tiff"), "tiff"),
    **{f".{kind}": kind for kind in ("png", "webp", "avif")},
}


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
    session: str | None = None  # id of its session
    follows: str | None = None  # id of the record whose picture it changes
    owner: str | None = None  # id of the gateway's user whom it belongs to

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
