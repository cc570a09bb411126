"""What a face's body asks for, once it is read: the noun between reading and answering."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.types import NOTHING, Request


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One request of the OpenAI face."""

    request: Request
    model: str  # id
    count: int = 1
    stream: bool = False
    partials: int = 0  # drafts to send before the picture
    as_url: bool = False  # links instead of the pictures themselves
    as_markdown: bool = False  # pictures in the text (chat)
    counts_usage: bool = False  # a last chunk with the usage (chat, streamed)
    quality: str | None = None  # as it was given
    user: str | None = None  # the client's word for its own user
    notes: tuple[str, ...] = ()
    shape: Mapping[str, Any] = field(default_factory=lambda: NOTHING)  # see `Errand.shape`
