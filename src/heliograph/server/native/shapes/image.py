"""Images, jobs and plans as they are answered."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from heliograph.server.native.shapes.plain import Links, Moment, Money, Told

Verdict = Literal["verified", "downgraded", "ratio_mismatch", "unasked"]
State = Literal["queued", "running", "done", "failed", "cancelled"]


class Size(Told):
    """Measured pixels."""

    width: int
    height: int


class ImageLinks(Links):
    """The image itself, and signed links to its bytes, which expire."""

    original: str | None = Field(description="The untouched original.")
    preview: str | None = Field(description="A WebP of at most 2048 px.")
    thumbnail: str | None = Field(description="A WebP of at most 512 px.")


class Image(Told):
    """One image, in brief. A call that brought none is one, too: `outcome` says what came."""

    id: str
    created: Moment
    outcome: Literal["kept", "refused", "quarantined", "unknown"]
    prompt: str
    model: str
    size: str | None = Field(description="Size tier that was asked.")
    aspect: str | None
    tier: str
    verdict: Verdict | None = Field(description="How the pixels compare with what was asked.")
    pixels: Size | None
    media_type: str | None
    bytes: int | None
    sha256: str | None
    cost: Money
    simulated: bool
    tags: list[str]
    session: str | None
    follows: str | None
    owner: str | None = Field(description="Id of the user it belongs to.")
    trashed: bool
    warnings: list[str]
    links: ImageLinks


class Part(Told):
    """One stored picture of a call: the result, a further one, or a draft."""

    role: Literal["result", "extra", "draft"]
    sha256: str
    media_type: str
    pixels: Size
    bytes: int
    verdict: Verdict


class Line(Told):
    """One line of the ledger."""

    kind: str
    amount: Money
    at: Moment
    price_version: str
    call: str | None


class Provenance(Told):
    """Where an image comes from."""

    upstream: str = Field(description="Host that the call went to.")
    model_version: str | None
    response_id: str | None
    finish_reason: str | None
    attempts: int
    parents: list[str] = Field(description="SHA-256 of the input images.")
    request: Mapping[str, Any] = Field(description="The request as it was understood.")
    usage: Mapping[str, Any]
    timing: Mapping[str, Any]
    grounding: Mapping[str, Any] = Field(description="What a search had found.")


class FullImage(Image):
    """One image with everything that is known of it."""

    texts: list[str] = Field(description="What the model said.")
    parts: list[Part]
    ledger: list[Line]
    provenance: Provenance


class Facets(Told):
    """How many there are, as if nothing were chosen in the facet itself."""

    model: dict[str, int]
    size: dict[str, int]
    verdict: dict[str, int]
    outcome: dict[str, int]


class Images(Told):
    """A page of images, newest first."""

    items: list[Image]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.")
    facets: Facets | None = Field(description="Counts, when they were asked for.")


class ExportedFile(Told):
    """One finished file."""

    name: str
    format: str
    pixels: Size
    bytes: int
    sha256: str
    quality: int | None
    link: str | None = Field(description="A signed link to its bytes, which expires.")


class Exports(Told):
    """Finished files of an image; they cost nothing."""

    image: str
    items: list[ExportedFile]


# ---------------------------------------------------------------- plans


class Estimate(Told):
    """What a call will cost."""

    low: Money
    expected: Money
    high: Money
    priced_on: str = Field(description="Day on which the price was checked.")
    price_version: str
    notes: list[str]


class Alternative(Told):
    """A cheaper way to nearly the same picture."""

    model: str
    size: str | None
    tier: str
    expected: Money
    saves: Money
    loses: list[str]


class Plan(Told):
    """A request as it would be sent."""

    model: str
    size: str | None
    aspect: str | None
    tier: str
    expected: Size | None = Field(description="Pixels that the original must have.")
    estimate: Estimate
    alternatives: list[Alternative]
    notes: list[str]
    simulated: bool = Field(description="Whether the emulator would draw it.")


# ---------------------------------------------------------------- jobs


class Failure(Told):
    """Why a job has no picture."""

    code: str
    detail: str
    charged: Literal["yes", "no", "unknown"]
    retry_after: float | None
    record: str | None


class Outcome(Told):
    """One picture of a job."""

    source: str = Field(
        description="`call`, or without a charge of its own: `twin`, `replay`, `joined`."
    )
    image: Image


class JobLinks(Links):
    """What belongs to a job."""

    events: str
    cancel: str


class JobBrief(Told):
    """One thing that was asked for, without its pictures."""

    id: str
    state: State
    prompt: str
    count: int
    face: str
    route: str
    created: Moment
    changed: Moment
    cost: Money
    idempotency_key: str | None
    records: list[str] = Field(description="Ids of its images.")
    error: Failure | None
    links: JobLinks


class Job(JobBrief):
    """One thing that was asked for."""

    results: list[Outcome] = Field(description="Its pictures, once it is done.")
    late: list[Image] = Field(
        description="Pictures that came after the job had ended without them; kept and yours."
    )


class Jobs(Told):
    """A page of jobs, newest first."""

    items: list[JobBrief]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.")
