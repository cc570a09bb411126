"""What is asked for: the request fields of the library, by the same names.

Invariant: a request of this form can be read without a doubt; whether a model can do it, planning
decides.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints

from heliograph.planning.load import catalogue
from heliograph.server.native.shapes.forms import (
    CONTEXT,
    LABEL,
    MODEL,
    PIXELS,
    RATIO,
    SAYS,
    SIZE,
    TAG,
)
from heliograph.server.native.shapes.plain import INTEGRAL, Asked, Id, Micro
from heliograph.sessions.inherit import INHERITED

MOST_BASE64 = 28_000_000  # characters: 20 MB of image
MOST_COUNT = 10  # pictures of one job
LONGEST_PROMPT = 100_000  # characters; in some scripts a model reads fewer
SEED = 2**31 - 1  # the API takes 32 bits with a sign

_SAFETY = catalogue().safety
_LIVE = tuple(row.id for row in catalogue().live)
_BASE64 = re.compile(r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$")

Prompt = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_PROMPT,
        pattern=SAYS,
        description="What to draw, in words. `@name` means the reference or cast of that name.",
        examples=["A lighthouse on a basalt cliff at golden hour, long exposure"],
    ),
]
Size = Annotated[
    str,
    Field(pattern=SIZE, description="Size tier.", examples=["4K"]),
]
Aspect = Annotated[
    str,
    Field(pattern=RATIO, description="Ratio.", examples=["16:9"]),
]
Pixels = Annotated[
    str,
    Field(
        pattern=PIXELS,
        description="Exact size of the export; the tier and ratio to reach it are found.",
        examples=["4096x2304"],
    ),
]
Use = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=SAYS,
        description="A named use, a paper size with its density, or a width for the web.",
        examples=["10x15 cm at 150 dpi"],
    ),
]
ModelId = Annotated[
    str,
    Field(
        pattern=MODEL,
        description="Model id; `GET /models` lists them. Without it the gateway's own default.",
        examples=["gemini-3-pro-image"],
    ),
]
Tag = Annotated[str, Field(pattern=TAG, examples=["campaign-7"])]
Label = Annotated[
    str,
    Field(pattern=LABEL, examples=["hero"]),
]
Role = Literal["object", "character", "style", "subject", "scene", "pose"]
FARTHEST = 100_000  # px from an edge
Pixel = Annotated[int, Field(ge=0, le=FARTHEST), INTEGRAL]
_BOX = [{"type": "integer", "minimum": low, "maximum": FARTHEST} for low in (0, 0, 1, 1)]


def _listed(words: tuple[str, ...]) -> Any:
    """A word of a list that is data, not code."""

    def check(value: Any) -> Any:
        if value not in words:
            raise ValueError(f"must be one of {', '.join(words)}")
        return value

    return Annotated[str, BeforeValidator(check), Field(json_schema_extra={"enum": list(words)})]


def _bytes_of(name: str) -> Any:
    """Base64 of a file: the format says all that a schema can."""

    def say(schema: dict[str, Any]) -> None:
        for bound in ("pattern", "minLength", "maxLength"):
            schema.pop(bound, None)
        schema["format"] = name

    bounds = StringConstraints(min_length=4, max_length=MOST_BASE64, pattern=_BASE64.pattern)
    return Annotated[str, bounds, Field(json_schema_extra=say)]


class KeptPicture(Asked):
    """A picture that is here already."""

    image: Id = Field(description="Id of an image of yours.")


class SentPicture(Asked):
    """A picture that comes with the request."""

    data: _bytes_of("picture") = Field(  # type: ignore[valid-type]
        description="The bytes of one whole PNG, JPEG or WebP, in base64: at most 20 MB and 64 "
        "megapixels. What it is, is found out."
    )


class SentMask(SentPicture):
    """An area of a picture, drawn."""

    data: _bytes_of("mask") = Field(  # type: ignore[valid-type]
        description="The bytes of a PNG, in base64, white or transparent where the picture is to "
        "be changed, of the same ratio as the picture."
    )


class _Named(Asked):
    role: Role | None = Field(default=None, description="What it is for.")
    name: Label | None = Field(default=None, description="How the prompt calls it: @name.")


class KeptReference(KeptPicture, _Named):
    """An image of yours as a reference."""


class SentReference(SentPicture, _Named):
    """A picture that comes along as a reference."""


class Finish(Asked):
    """How files are made from the original, which itself is never touched."""

    format: Literal["jpeg", "png", "webp", "avif", "tiff"] | None = Field(
        default=None, description="Without it that of the original."
    )
    quality: Annotated[int, Field(ge=1, le=100), INTEGRAL] | None = Field(
        default=None, description="Of jpeg, webp and avif; png and tiff lose nothing."
    )
    max_bytes: Annotated[int, Field(ge=1024, le=10**12), INTEGRAL] | None = Field(
        default=None, description="Quality is lowered until the file is no larger."
    )
    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"properties": {"format": {"enum": ["jpeg", "webp", "avif", None]}}},
                {
                    "properties": {
                        "format": {"enum": ["png", "tiff"]},
                        "quality": {"type": "null"},
                    },
                    "required": ["format"],
                },
            ]
        }
    )

    dpi: Annotated[int, Field(ge=1, le=2400), INTEGRAL] | None = Field(
        default=None, description="Density to write into the file."
    )
    anchor: Literal[
        "centre",
        "top",
        "bottom",
        "left",
        "right",
        "top-left",
        "top-right",
        "bottom-left",
        "bottom-right",
    ] = Field(default="centre", description="Which part a crop keeps.")
    srgb: bool = Field(default=False, description="Convert to sRGB.")
    preview: bool = Field(default=False, description="Also a WebP of at most 2048 px.")
    thumbnail: bool = Field(default=False, description="Also a WebP of at most 512 px.")


class TurnSettings(Asked):
    """Settings that a turn may change."""

    model: ModelId | None = None
    size: Size | None = None
    aspect: Aspect | None = None
    pixels: Pixels | None = None
    use: Use | None = None
    references: Annotated[
        list[KeptReference | SentReference],
        Field(
            max_length=14,
            description="Input images. No two have one name. A model takes 14 in all, with the "
            "picture that is changed and those of casts.",
        ),
    ] = Field(default=[])
    system: Annotated[str, Field(min_length=1, max_length=LONGEST_PROMPT, pattern=SAYS)] | None = (
        Field(default=None, description="System instruction.")
    )
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    seed: Annotated[int, Field(ge=-SEED - 1, le=SEED), INTEGRAL] | None = None
    safety: dict[_listed(_SAFETY.categories), _listed(_SAFETY.thresholds)] | None = Field(  # type: ignore[valid-type]
        default=None, description="Thresholds by category."
    )
    thinking: Literal["minimal", "low", "medium", "high"] | None = None
    include_thoughts: bool = Field(default=False, description="Keep drafts of the model, too.")
    tier: Literal["standard", "flex", "priority", "batch"] | None = Field(
        default=None, description="Service tier; `batch` can be estimated only."
    )
    ground: Literal["web", "images"] | None = Field(
        default=None, description="Search before drawing."
    )
    strict: bool = Field(default=False, description="Other pixels than asked are an error.")
    max_cost: Micro | None = Field(
        default=None, description="Refuse when the worst case is above this; micro-dollars."
    )
    tags: Annotated[list[Tag], Field(max_length=20)] = Field(default=[])
    fallback: Annotated[
        list[_listed(_LIVE)],  # type: ignore[valid-type]
        Field(
            max_length=5,
            description="Models to ask when the first cannot, each once; each must be able to "
            "make this picture.",
        ),
    ] = Field(default=[])
    allow_downgrade: bool = Field(
        default=False, description="A fallback may make a smaller picture."
    )
    fresh: bool = Field(
        default=False, description="Never answered by an identical earlier picture."
    )
    casts: Annotated[list[Label], Field(max_length=14)] = Field(
        default=[], description="Names of casts."
    )
    context: Annotated[str, Field(pattern=CONTEXT)] | None = Field(
        default=None, description="What of the session goes back to the model."
    )
    region: (
        Annotated[
            list[Pixel], Field(min_length=4, max_length=4, json_schema_extra={"prefixItems": _BOX})
        ]
        | None
    ) = Field(
        default=None,
        description="What to change: x, y, width, height in px, within that picture.",
    )
    mask: SentMask | None = Field(
        default=None, description="Or a PNG, white where the picture is to be changed."
    )
    protect: bool = Field(
        default=False,
        description="Put everything else back as it was; the picture has a ratio of the model "
        "then, and the file is no jpeg, webp or avif.",
    )
    feather: Annotated[int, Field(ge=0, le=256), INTEGRAL] | None = Field(
        default=None, description="Soft edge in px."
    )
    finish: Finish | None = None


class Wanted(TurnSettings):
    """One request."""

    prompt: Prompt
    base: KeptPicture | SentPicture | None = Field(
        default=None, description="A picture that is to be changed; not beside `follows`."
    )
    session: Id | None = Field(default=None, description="Session that the picture belongs to.")
    follows: Id | None = Field(
        default=None, description="Image of yours whose picture is to be changed."
    )


class JobWanted(Wanted):
    """A job: one request, made once or several times."""

    count: Annotated[int, Field(ge=1, le=MOST_COUNT), INTEGRAL] = Field(
        default=1, description="Pictures; there must be money for all of them."
    )


class TurnWanted(TurnSettings):
    """One turn of a session; what it does not say stays as it is in that version."""

    prompt: Prompt
    of: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")] | None = (
        Field(
            default=None,
            description="Number, name or id of the version to change; without it, where the "
            "session stands.",
            examples=["2"],
        )
    )
    drop: Annotated[list[_listed(INHERITED)], Field(max_length=40)] = Field(  # type: ignore[valid-type]
        default=[], description="Settings that are not taken over from that version."
    )


class SessionWanted(TurnSettings):
    """A new session, which begins with a change of a picture."""

    prompt: Prompt
    of: KeptPicture | SentPicture = Field(description="The picture to change.")
    drop: Annotated[list[_listed(INHERITED)], Field(max_length=40)] = Field(  # type: ignore[valid-type]
        default=[], description="Settings that are not taken over from that picture."
    )
