"""What all shapes are made of.

Invariant: money is whole micro-dollars, with the same in dollars beside it for people; times are
RFC 3339 with a zone.
"""

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from heliograph.money import MAX_MICRO, dollars

# what a number in JSON can be trusted with in every language
MOST = 2**53 - 1
_MOMENT = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII
)


class Asked(BaseModel):
    """Something that is sent to us."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Looked(BaseModel):
    """What a list is asked for, in the query: everything there is text."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Told(BaseModel):
    """Something that we answer."""

    model_config = ConfigDict(frozen=True)


def _moment(value: Any) -> datetime:
    """RFC 3339; years that a clock cannot hold are no time."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError("must be a time such as 2026-11-22T18:30:00Z")
    try:
        # leap seconds are a time by the standard; no clock here knows them
        found = datetime.fromisoformat(value.upper().replace(":60", ":59"))
        return found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError("must be a time such as 2026-11-22T18:30:00Z") from error


def _spelled(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    BeforeValidator(_moment),
    PlainSerializer(_spelled, return_type=str),
    Field(json_schema_extra={"format": "date-time"}),
]
Id = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", examples=["6f0d7c2b9a4e4f1f8f5c1d2e3a4b5c6d"])]
KeyId = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{8}$", examples=["4Kd0aZ9b"])]
CallId = Annotated[
    str,
    Field(
        pattern=r"^[0-9a-f]{32}-[1-9][0-9]{0,3}$",
        examples=["6f0d7c2b9a4e4f1f8f5c1d2e3a4b5c6d-1"],
    ),
]


def _integral(value: Any) -> Any:
    """In JSON 4.0 is the same whole number as 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


# behind the bounds of a field: in front of them, its schema would not tell them
INTEGRAL = BeforeValidator(_integral)
Micro = Annotated[
    int,
    Field(ge=1, le=MAX_MICRO, description="Micro-dollars: 1,000,000 are $1."),
    INTEGRAL,
]
Cursor = Annotated[
    str,
    Field(
        max_length=400,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="Where the next page begins: `next` of the page before. Only good for the "
        "user and the list that it was given to.",
    ),
]


def _flag(value: Any) -> Any:
    if value not in ("true", "false", True, False):
        raise ValueError("must be true or false")
    return value in ("true", True)


def _digits(value: Any) -> Any:
    if isinstance(value, str) and not re.fullmatch(r"-?(0|[1-9][0-9]{0,17})", value, re.ASCII):
        raise ValueError("must be a whole number")
    return value


# query parameters are text; only the one spelling that JSON has is taken
Flag = Annotated[bool, BeforeValidator(_flag)]
DIGITS = BeforeValidator(_digits)
Limit = Annotated[int, Field(ge=1, le=200, description="Entries of a page."), DIGITS]


class Money(Told):
    """An amount."""

    micro: int = Field(description="Micro-dollars: 1,000,000 are $1.", examples=[134_400])
    text: str = Field(description="The same in dollars.", examples=["$0.1344"])


def money(micro: int) -> Money:
    """An amount as it is told."""
    return Money(micro=micro, text=dollars(micro))


class Links(Told):
    """Where more is to be had; relative to the address of this service."""

    self: str = Field(description="This object itself.")
