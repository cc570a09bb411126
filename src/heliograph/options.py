"""What `generate`, `plan` and `edit` take by name: the fields of `Request`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from heliograph.types import Finish, Given


class TurnOptions(TypedDict, total=False):
    """What `edit` takes besides the prompt and what is to be changed; the fields of `Request`."""

    model: str
    size: str
    aspect: str
    pixels: str
    use: str
    references: Sequence[str | Path | bytes | Given]
    system: str
    temperature: float
    top_p: float
    seed: int
    safety: dict[str, str]
    thinking: str
    include_thoughts: bool
    tier: str
    ground: str
    stream: bool
    strict: bool
    max_cost: str  # dollars: "0.30"
    tags: Sequence[str]
    fallback: Sequence[str]
    allow_downgrade: bool
    fresh: bool
    idempotency_key: str
    casts: Sequence[str]
    context: str
    region: tuple[int, int, int, int]
    mask: str | Path | bytes
    protect: bool
    feather: int
    finish: Finish


class Options(TurnOptions, total=False):
    """What `generate` and `plan` take besides the prompt; the fields of `Request`."""

    session: str
    follows: str
    base: str | Path | bytes
