"""An answer that broke off after its picture: closes the JSON where it stopped.

Pure but for the tap's files. Invariant: only what arrived whole is used; a string, number or key
that was cut is dropped, and a picture whose own bytes were cut stays marked as broken.
"""

import re
from dataclasses import replace

from heliograph.providers.wire import WireReply

_OPENERS = {"{": "}", "[": "]"}
_CLOSERS = frozenset(_OPENERS.values())
PART_DEPTH = 2  # of a picture's bytes within their part: {"inlineData": {"data": …}}
_CUT = '"'  # a string without its end
_TOKEN = re.compile(r'"[^"\\\n]*(?:\\.[^"\\\n]*)*"|["{}\[\]:,]|true|false|null')
# the `[DONE]` of a stream, cut or not, would be closed as an array
_LAST_WORD = re.compile(r"^data:\s*\[\w*\]?\s*\Z", re.MULTILINE)


def salvaged(wire: WireReply) -> WireReply | None:
    """The reply with its JSON closed, or None when no picture in it is whole."""
    if not any(spool.defect is None for spool in wire.tapped.spools.values()):
        return None
    text = _LAST_WORD.sub("", wire.tapped.skeleton.decode("utf-8", "replace"))
    tapped = replace(wire.tapped, skeleton=closed(text).encode(), cut=None)
    return replace(wire, tapped=tapped, incomplete=None)


def is_last_part_open(wire: WireReply) -> bool:
    """Whether the answer broke off before the part of its last picture was closed, so that the
    mark of a thought may be missing: Google writes it behind the picture.
    """
    text = wire.tapped.skeleton.decode("utf-8", "replace")
    ends = [text.rfind(f'"{name}"') for name in wire.tapped.spools]
    if not ends or max(ends) < 0:
        return False
    depth = 0
    for token in _TOKEN.finditer(text, max(ends)):
        kind = token.group()
        depth += (kind in _OPENERS) - (kind in _CLOSERS)
        if depth <= -PART_DEPTH:
            return False
    return True


def closed(text: str) -> str:
    """A beginning of JSON, or of a stream of such documents, cut back to its last whole value
    and closed. A number is whole only when something follows it.
    """
    stack: list[str] = []
    safe, closers, is_key = 0, "", False
    for token in _TOKEN.finditer(text):
        kind, end = token.group(), token.end()
        if kind == _CUT and stack:
            break
        if kind in _OPENERS:
            stack.append(_OPENERS[kind])
            is_key = kind == "{"
        elif kind in _CLOSERS:
            if not stack or stack.pop() != kind:
                break
        elif not stack:
            continue  # between two documents
        elif kind == ",":
            is_key = stack[-1] == "}"
            end = token.start()
        elif kind == ":":
            is_key = False
            continue
        elif is_key:
            continue
        safe, closers = end, "".join(reversed(stack))
    return text[:safe] + closers
