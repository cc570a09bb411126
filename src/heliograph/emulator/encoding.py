"""Answer trees to bytes; invariant: a Blob's bytes are never copied into a larger buffer."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from heliograph.emulator.reply import Blob, Tree

Framing = Literal["single", "sse", "array"]
TextEdit = Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Body:
    """Response bytes in order, and where the last final image's base64 lies in them."""

    pieces: tuple[bytes, ...]
    image_start: int
    image_end: int

    @property
    def length(self) -> int:
        """Bytes in all."""
        return sum(map(len, self.pieces))


def encode(
    events: Sequence[Tree], framing: Framing, *, mark: str, edit: TextEdit | None = None
) -> Body:
    """Frame the events; `mark` is a text that cannot occur in them, `edit` changes their JSON."""
    pieces: list[bytes] = []
    span = (0, 0)
    position = 0
    opening, between, closing = _FRAMES[framing]
    for number, event in enumerate(events):
        pieces.append(between if number and framing == "array" else opening)
        position += len(pieces[-1])
        for piece, is_final in _event(event, mark, edit, pretty=framing != "sse"):
            pieces.append(piece)
            if is_final:
                span = (position, position + len(piece))
            position += len(piece)
        if framing == "sse":
            pieces.append(closing)
            position += len(closing)
    if framing != "sse":
        pieces.append(closing)
    return Body(pieces=tuple(pieces), image_start=span[0], image_end=span[1])


# Each event opens with the first; array events after the first are joined by the second.
_FRAMES: dict[Framing, tuple[bytes, bytes, bytes]] = {
    "single": (b"", b"", b"\n"),
    "sse": (b"data: ", b"", b"\r\n\r\n"),
    "array": (b"[", b",\r\n", b"]"),
}


def _event(
    event: Tree, mark: str, edit: TextEdit | None, *, pretty: bool
) -> list[tuple[bytes, bool]]:
    blobs: list[Blob] = []

    def stand_in(value: object) -> str:
        if not isinstance(value, Blob):
            raise TypeError(f"not JSON: {type(value).__name__}")
        blobs.append(value)
        return mark

    text = json.dumps(event, default=stand_in, ensure_ascii=False, indent=2 if pretty else None)
    if edit is not None:
        text = edit(text)
    around = [part.encode() for part in text.split(mark)]
    pieces = [(around[0], False)]
    for blob, after in zip(blobs, around[1:], strict=True):
        pieces += [(blob.text, blob.kind == "final"), (after, False)]
    return pieces
