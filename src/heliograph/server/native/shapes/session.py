"""Sessions, casts and prompts, as they are asked for and answered."""

from typing import Annotated, Literal

from pydantic import Field

from heliograph.server.native.shapes.image import Image, Size
from heliograph.server.native.shapes.plain import INTEGRAL, NAME, Asked, Links, Moment, Money, Told
from heliograph.server.native.shapes.wanted import Aspect, KeptReference, Label, SentReference, Tag

Name = Annotated[str, Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f-\x9f]*$")]


class SessionBrief(Told):
    """One session in the list."""

    id: str
    name: str
    turns: int
    begun: Moment
    changed: Moment
    cost: Money
    last: str = Field(description="Id of its newest image.")
    starred: bool
    deleted: bool = Field(description="Put out of sight; nothing is removed.")
    links: Links


class SessionList(Told):
    """Sessions, those worked on last first."""

    items: list[SessionBrief]


class Version(Told):
    """One version of a session."""

    number: int = Field(description="By time, from 1; 0 is the picture it began with.")
    parent: str | None
    children: list[str]
    name: str | None
    starred: bool
    deleted: bool
    image: Image


class Session(Told):
    """One session as a tree of versions."""

    id: str
    name: str
    head: str | None = Field(description="The version that the next turn changes.")
    ahead: list[str] = Field(description="Versions that redo goes to, nearest first.")
    starred: bool
    deleted: bool
    cost: Money
    versions: list[Version]
    links: Links


class Marks(Asked):
    """What people say of a session or a version; what is left out stays."""

    name: Name | None = Field(default=None, description='"" takes a name away.')
    starred: bool | None = None
    deleted: bool | None = Field(default=None, description="Out of sight, or back.")


class Branch(Asked):
    """Where to go."""

    version: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]+$")] = Field(
        description="Number, name or id of a version.", examples=["2"]
    )


# ---------------------------------------------------------------- casts


class CastWanted(Asked):
    """A set of references for one look across many images."""

    description: Annotated[str, Field(max_length=4000)] = ""
    references: Annotated[list[KeptReference | SentReference], Field(min_length=1, max_length=14)]


class CastImage(Told):
    """One image of a cast."""

    role: str | None
    name: str | None = Field(description="How prompts call it: @name.")
    sha256: str
    media_type: str
    pixels: Size
    bytes: int


class Cast(Told):
    """One cast."""

    name: str
    description: str
    references: list[CastImage]
    links: Links


class Casts(Told):
    """All casts, by name."""

    items: list[Cast]


# ---------------------------------------------------------------- prompts

PromptName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]{0,63}$", examples=["product-shot"])
]
VariableName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Words = Annotated[str, Field(min_length=1, max_length=2000, pattern=NAME)]


class VariableWanted(Asked):
    """One place of a prompt, `${name}`."""

    type: Literal["text", "words", "number", "integer", "choice", "colour"] = "text"
    help: Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")] | None = None
    default: Words | None = Field(default=None, description="Without it, it must be given.")
    choices: Annotated[list[Words], Field(max_length=100)] | None = None


class PromptWanted(Asked):
    """A prompt to keep and use again."""

    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    about: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    tags: Annotated[list[Tag], Field(max_length=20)] = Field(default=[])
    aspect: Aspect | None = None
    prompt: Annotated[str, Field(min_length=1, max_length=20_000, pattern=r"[^\s\x00-\x20]")] = (
        Field(
            description="The text, with places as `${name}` and wildcards as `{red|blue}`.",
            examples=["A ${colour} fox in {snow|rain}"],
        )
    )
    variables: dict[VariableName, VariableWanted] = Field(
        default={}, max_length=50, examples=[{"colour": {"type": "colour", "default": "red"}}]
    )


class Variable(Told):
    """One place of a prompt."""

    name: str
    type: str
    help: str
    default: str | None
    choices: list[str]


class Prompt(Told):
    """One prompt."""

    name: str
    origin: Literal["starter", "library", "yours"]
    title: str
    about: str
    tags: list[str]
    aspect: str | None
    text: str
    variables: list[Variable]
    links: Links


class Prompts(Told):
    """All prompts, yours first."""

    items: list[Prompt]


class Filling(Asked):
    """What to fill in."""

    values: dict[VariableName, Annotated[str, Field(max_length=2000)]] = Field(
        default={}, max_length=50, description="By name of variable."
    )
    seed: Annotated[int, Field(ge=0, le=2**31 - 1), INTEGRAL] = Field(
        default=0, description="Which way wildcards come out."
    )
    number: Annotated[int, Field(ge=1, le=20), INTEGRAL] = Field(
        default=1, description="How many texts, each with the next seed."
    )


class Rendered(Told):
    """Texts that can be sent."""

    name: str
    texts: list[str]
    ways: int = Field(description="How many different texts there can be.")


__all__ = ["Label"]
