"""The options that describe an image, shared by every command that plans one."""

from dataclasses import dataclass, field
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.errors import InvalidRequest, Problem
from heliograph.library import ExportOptions
from heliograph.money import parse_dollars
from heliograph.options import Options
from heliograph.types import Anchor, Finish

IMAGE = Group("Image", sort_key=1)
MODEL = Group("Model", sort_key=2)
REPEAT = Group("Budgets and repeats", sort_key=3)
FILE = Group("Finished file (the original stays untouched)", sort_key=4)

MOST_LISTED = 1_000_000  # rows of one list; a database takes no number above its own
UNITS = {"": 1, "b": 1, "kb": 1000, "mb": 1000**2, "kib": 1024, "mib": 1024**2}

Flag = Annotated[bool, Parameter(negative="", show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Finishing:
    """How the finished file is made."""

    pixels: Annotated[str | None, Parameter(group=FILE)] = None
    "Exact size of the finished file, such as 4096x2304."
    use: Annotated[str | None, Parameter(name="--for", group=FILE)] = None
    'What it is for: "A3 print at 300 dpi", "youtube thumbnail", "web 1600px".'
    format: Annotated[str | None, Parameter(group=FILE)] = None
    "jpeg, png, webp, avif or tiff; also taken from the name given with --output."
    quality: Annotated[int | None, Parameter(group=FILE)] = None
    "1 to 100 for formats that lose detail."
    max_bytes: Annotated[str | None, Parameter(group=FILE)] = None
    "Byte budget of the file, such as 2MB."
    dpi: Annotated[int | None, Parameter(group=FILE)] = None
    "Density written into the file; changes no pixels."
    anchor: Annotated[Anchor | None, Parameter(group=FILE)] = None
    "Which part a crop keeps. Default: centre."
    srgb: Annotated[Flag, Parameter(group=FILE)] = False
    "Convert to sRGB and embed the profile."
    preview: Annotated[Flag, Parameter(group=FILE)] = False
    "Also write a WebP of at most 2048 px."
    thumbnail: Annotated[Flag, Parameter(group=FILE)] = False
    "Also write a WebP of at most 512 px."

    def options(self, suffix: str = "") -> ExportOptions:
        """As library options; a file's suffix names the format when nothing else does."""
        options: ExportOptions = {"finish": Finish(**self.given(suffix)), **self.shape()}
        return options

    def shape(self) -> ExportOptions:
        """The size of the file, as far as it was given."""
        options: ExportOptions = {}
        if self.pixels is not None:
            options["pixels"] = self.pixels
        if self.use is not None:
            options["use"] = self.use
        return options

    def given(self, suffix: str = "") -> dict[str, Any]:
        """The fields of `Finish` that were given; a file name with a suffix says its format."""
        fields: dict[str, Any] = {
            "quality": self.quality,
            "max_bytes": _bytes(self.max_bytes),
            "dpi": self.dpi,
            "anchor": self.anchor,
            **{name: getattr(self, name) or None for name in ("srgb", "preview", "thumbnail")},
        }
        fields = {name: value for name, value in fields.items() if value is not None}
        if self.format or suffix:
            # a name for what arrives, .jpg, takes back what an earlier version had asked for
            fields["format"] = self.format or _format_of(suffix)
        return fields


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Asking:
    """What is asked of the model."""

    size: Annotated[str | None, Parameter(name=["--size", "-s"], group=IMAGE)] = None
    "Size tier: 512, 1K, 2K or 4K, as the model has them. Default: 4K."
    aspect: Annotated[str | None, Parameter(name=["--aspect", "-a"], group=IMAGE)] = None
    "Ratio, such as 16:9 (also 16x9)."
    references: Annotated[
        list[str],
        Parameter(
            name=["--image", "-i", "--reference", "-r"],
            group=IMAGE,
            negative="",
            show_default=False,
            allow_leading_hyphen=True,
        ),
    ] = field(default_factory=list)
    "An image to work from: a file, the id of a kept picture, - for standard input, or clipboard; \
repeatable. ROLE: before it says what it is for (object, character, style, subject, scene, pose), \
NAME= what the prompt calls it (@NAME)."
    casts: Annotated[
        list[str],
        Parameter(name="--cast", group=IMAGE, negative="", show_default=False),
    ] = field(default_factory=list)
    "A kept set of images, by its name; repeatable. See `heliograph casts`."
    strict: Annotated[Flag, Parameter(group=IMAGE)] = False
    "Exit with 8 when other pixels come back than asked; the image is kept."
    max_cost: Annotated[str | None, Parameter(group=IMAGE)] = None
    "Send nothing if it may cost more, in dollars, such as 0.30."
    model: Annotated[str | None, Parameter(name=["--model", "-m"], group=MODEL)] = None
    "Model id; see `heliograph models`."
    tier: Annotated[str | None, Parameter(group=MODEL)] = None
    "standard, flex (half the price, may wait) or priority; estimates also take batch."
    ground: Annotated[str | None, Parameter(group=MODEL)] = None
    "Ground on Google Search: web or images."
    system: Annotated[str | None, Parameter(group=MODEL)] = None
    "System instruction."
    seed: Annotated[int | None, Parameter(group=MODEL)] = None
    "Seed; Google promises no identical pictures."
    thinking: Annotated[str | None, Parameter(group=MODEL)] = None
    "Thinking level, as the model has them: minimal, low, medium, high."
    include_thoughts: Annotated[Flag, Parameter(group=MODEL)] = False
    "Also return thoughts and draft images."
    temperature: Annotated[float | None, Parameter(group=MODEL)] = None
    "0 to 1; deprecated by Google, best left alone."
    top_p: Annotated[float | None, Parameter(group=MODEL)] = None
    "0 to 1; deprecated by Google, best left alone."
    safety: Annotated[list[str], Parameter(group=MODEL, negative="", show_default=False)] = field(
        default_factory=list
    )
    "A filter setting, such as harassment=BLOCK_ONLY_HIGH; may be repeated."
    stream: Annotated[Flag, Parameter(group=MODEL)] = False
    "Use the streaming method."

    def options(self) -> Options:
        """As library options."""
        plain: dict[str, Any] = {
            name: getattr(self, name)
            for name in (
                *("size", "aspect", "model", "tier", "ground", "system", "seed"),
                *("thinking", "temperature", "top_p"),
            )
            if getattr(self, name) is not None
        }
        for name in ("strict", "include_thoughts", "stream"):
            if getattr(self, name):
                plain[name] = True
        if self.casts:
            plain["casts"] = self.casts
        if self.safety:
            plain["safety"] = dict(_pair(item) for item in self.safety)
        if self.max_cost is not None:
            try:
                parse_dollars(self.max_cost)
            except ValueError as error:
                raise _problem("max_cost", self.max_cost, str(error)) from error
            plain["max_cost"] = self.max_cost
        options: Options = plain  # type: ignore[assignment]
        return options


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Repeating:
    """What a call counts against, and what may stand in for it."""

    tags: Annotated[
        list[str], Parameter(name="--tag", group=REPEAT, negative="", show_default=False)
    ] = field(default_factory=list)
    "A name that budgets go by (tag/NAME); repeatable."
    fallback: Annotated[
        list[str], Parameter(name="--fallback", group=REPEAT, negative="", show_default=False)
    ] = field(default_factory=list)
    "A model to ask when the first cannot answer and nothing was charged; repeatable, in order."
    allow_downgrade: Annotated[Flag, Parameter(group=REPEAT)] = False
    "Let a fallback make a smaller picture."
    fresh: Annotated[Flag, Parameter(group=REPEAT)] = False
    "Make a new picture even where an identical earlier one may answer."
    idempotency_key: Annotated[str | None, Parameter(group=REPEAT)] = None
    "The same key gets the same picture and no second charge; with -n 2: KEY-1 and KEY-2."

    def options(self) -> Options:
        """As library options."""
        options: Options = {}
        if self.tags:
            options["tags"] = self.tags
        if self.fallback:
            options["fallback"] = self.fallback
        if self.allow_downgrade:
            options["allow_downgrade"] = True
        if self.fresh:
            options["fresh"] = True
        if self.idempotency_key is not None:
            options["idempotency_key"] = self.idempotency_key
        return options


def refuse_limit(limit: int) -> None:
    """A list has from one row to a million.

    Raises:
        InvalidRequest: it is to have less or more.
    """
    if not 1 <= limit <= MOST_LISTED:
        message = f"must be from 1 to {MOST_LISTED}"
        nearest = ("1" if limit < 1 else str(MOST_LISTED),)
        raise InvalidRequest(
            [Problem(field="limit", value=str(limit), message=message, nearest=nearest)]
        )


def _format_of(suffix: str) -> str | None:
    """The format that a file name asks for; JPEG is what arrives, so it asks for nothing."""
    kind = suffix.lower().removeprefix(".")
    return None if kind in ("", "jpg", "jpeg", "jpe") else kind


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    number = text.strip().rstrip("bBkKmMiI").strip()
    unit = text.strip()[len(number) :].strip().lower()
    unit = {"k": "kb", "m": "mb"}.get(unit, unit)
    try:
        amount = int(float(number) * UNITS[unit])
    except (ValueError, KeyError, OverflowError) as error:
        raise _problem("max_bytes", text, "is no number of bytes, such as 2MB") from error
    return amount


def _pair(item: str) -> tuple[str, str]:
    category, equals, threshold = item.partition("=")
    if not equals:
        raise _problem("safety", item, "must be CATEGORY=THRESHOLD")
    return category.strip(), threshold.strip()


def _problem(name: str, value: str, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=name, value=value, message=message)])
