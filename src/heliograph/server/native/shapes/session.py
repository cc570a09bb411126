"""Sessions, casts and prompts, as they are asked for and answered."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from heliograph.prompts.template import KINDS
from heliograph.server.native.shapes.forms import NAME, SAYS
from heliograph.server.native.shapes.image import Image, Size
from heliograph.server.native.shapes.plain import INTEGRAL, Asked, Links, Moment, Money, Told
from heliograph.server.native.shapes.wanted import (
    KeptReference,
    Label,
    SentReference,
    Tag,
)
from heliograph.sessions.tree import SHOWN

# what can be printed; a number would be taken for one of a version
_PRINTED = r"[\p{L}\p{M}\p{N}\p{P}\p{S} ]*$"
Name = Annotated[
    str,
    Field(
        max_length=SHOWN,
        pattern=f"^{_PRINTED}",
        json_schema_extra={
            "pattern": f"^(?!#?[0-9]+$){_PRINTED}",
            "format": "session-name",
        },
    ),
]


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

    name: Name | None = Field(
        default=None,
        description='Printable, and no number; "" takes a name away.',
    )
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
    references: Annotated[
        list[KeptReference | SentReference],
        Field(min_length=1, max_length=14, description="No two have one name."),
    ]


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

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {
                    "properties": {
                        "type": {"enum": [kind for kind in KINDS if kind != "choice"]},
                        "choices": {"enum": [None, []]},
                    }
                },
                {
                    "properties": {
                        "type": {"const": "choice"},
                        "choices": {"type": "array", "minItems": 1},
                    },
                    "required": ["type", "choices"],
                },
            ]
        }
    )

    type: Literal["text", "words", "number", "integer", "choice", "colour"] = "text"
    help: Annotated[str, Field(max_length=400, pattern=r"^[^\x00]*$")] | None = None
    default: Words | None = Field(
        default=None, description="A value of its type. Without it, it must be given."
    )
    choices: Annotated[list[Words], Field(max_length=100)] | None = Field(
        default=None, description="Of the type `choice`, and of no other."
    )


class PromptWanted(Asked):
    """A prompt to keep and use again."""

    title: Annotated[str, Field(max_length=200, pattern=r"^[^\x00]*$")] = ""
    about: Annotated[str, Field(max_length=1000, pattern=r"^[^\x00]*$")] = ""
    tags: Annotated[list[Tag], Field(max_length=20)] = Field(default=[])
    aspect: (
        Annotated[str, Field(pattern=r"^[1-9][0-9]?:[1-9][0-9]?$", examples=["16:9"])] | None
    ) = Field(default=None, description="The ratio that it is made for.")
    prompt: Annotated[str, Field(min_length=1, max_length=20_000, pattern=SAYS)] = Field(
        description="The text, with places as `${name}` and wildcards as `{red|blue}`; a brace "
        "that is meant is `\\{` or `\\}`.",
        examples=["A ${colour} fox in {snow|rain}"],
        json_schema_extra={"format": "template"},
    )
    variables: dict[VariableName, VariableWanted] = Field(
        default={},
        max_length=50,
        description="One for each place of the prompt, by its name, and no other.",
        examples=[{"colour": {"type": "colour", "default": "red"}}],
        json_schema_extra={"additionalProperties": False},
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
        default={},
        max_length=50,
        description="By name of variable.",
        json_schema_extra={"additionalProperties": False},
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
