"""What went over the wire, between raw bytes and meaning: strict JSON out of a tapped body.

Invariant: an answer that can be read in two ways (duplicate keys, broken UTF-8, half a document)
is refused rather than guessed at.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.errors import Charged, ProtocolError
from heliograph.providers.tap import Spooled, Tap, Tapped
from heliograph.types import Reference, Signature, Timing

# a piece of a body: bytes as they are, a picture as base64, a signature as it lies in its file
Segment = bytes | Reference | Signature

_LINE_END = re.compile(r"\r\n|[\r\n]")


@dataclass(frozen=True, kw_only=True)
class WireRequest:
    """One HTTP request without its key. Files are read, and pictures encoded, while it is sent."""

    path: str
    query: str
    headers: Mapping[str, str]
    body: tuple[Segment, ...]
    method: str = "POST"

    @property
    def length(self) -> int:
        """Bytes of the body on the wire."""
        return sum(map(weight, self.body))


def weight(segment: Segment) -> int:
    """Bytes of a piece on the wire."""
    if isinstance(segment, bytes):
        return len(segment)
    return segment.size if isinstance(segment, Signature) else (segment.size + 2) // 3 * 4


@dataclass(frozen=True, kw_only=True)
class WireReply:
    """One HTTP answer, its long strings diverted to files."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    tapped: Tapped
    timing: Timing
    incomplete: str | None = None  # why the body did not arrive whole
    was_sent: bool = True  # the request had left whole when the answer began
    is_direct: bool = False  # it comes from Google's own host, over a connection of its own


def documents(tapped: Tapped) -> list[Mapping[str, Any]]:
    """The JSON objects of a body: one object, an array of them, or server-sent events.

    Raises:
        ProtocolError: the body is not that.
    """
    try:
        text = tapped.skeleton.decode("utf-8-sig").strip()
    except UnicodeDecodeError as error:
        raise _nonsense("it is not UTF-8") from error
    if not text:
        raise _nonsense("it is empty")
    if text[0] in "{[":
        value = _parse(text)
        values = value if isinstance(value, list) else [value]
    else:
        values = [_parse(event) for event in _events(text)]
    if not values or not all(isinstance(v, dict) for v in values):
        raise _nonsense("it holds no JSON object")
    return values


def read_bytes(body: bytes, folder: Path, *, chunk: int = 1 << 16) -> Tapped:
    """A body that is already in memory, through the same tap; for recorded exchanges."""
    tap = Tap(folder)
    for start in range(0, len(body), chunk):
        tap.feed(body[start : start + chunk])
    return tap.close()


def spooled(tapped: Tapped, value: object) -> Spooled | None:
    """The spool behind a JSON value, when the tap diverted it."""
    return tapped.spools.get(value) if isinstance(value, str) else None


def _events(text: str) -> list[str]:
    """The payloads of an event stream; bare JSON between events is an error object."""
    events: list[str] = []
    bare: list[str] = []
    # not splitlines(): JSON may hold U+2028 and its like unescaped, and they end no line here
    for line in _LINE_END.split(text):
        if line.startswith("data:"):
            events.append(line[5:].strip())
        elif line.strip() and not line.startswith((":", "event:", "id:", "retry:")):
            bare.append(line)
    if bare:
        events.append("\n".join(bare))
    return [e for e in events if e and e != "[DONE]"]


def _parse(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except RecursionError as error:
        raise _nonsense("it is nested too deeply") from error
    except ValueError as error:
        raise _nonsense(f"it is not JSON ({error})") from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _nonsense(f"the key {twice!r} stands twice in one object")
    return result


def _nonsense(why: str) -> ProtocolError:
    return ProtocolError(
        "The upstream's answer cannot be understood.",
        why=f"Its body is wrong: {why}.",
        remedy="Ask again later; if it persists, check the base URL and any proxy on the way.",
        charged=Charged.UNKNOWN,
    )
