"""An answer that broke off after its picture: closes the JSON where it stopped.

Pure but for the tap's files. Invariant: only what arrived whole is used; a string, number or key
that was cut is dropped, and a picture whose own bytes were cut stays marked as broken.
"""

import re
from dataclasses import replace

from heliograph.providers.wire import WireReply

_OPENERS = {"{": "}", "[": "]"}
_CLOSERS = frozenset(_OPENERS.values())
_CUT = '"'  # a string without its end
_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|["{}\[\]:,]|true|false|null', re.DOTALL)
_EVENT = re.compile("^data:", re.MULTILINE)


def salvaged(wire: WireReply) -> WireReply | None:
    """The reply with its JSON closed, or None when no picture in it is whole."""
    if not any(spool.defect is None for spool in wire.tapped.spools.values()):
        return None
    text = wire.tapped.skeleton.decode("utf-8", "replace").lstrip("\ufeff")
    head, last = _last_document(text)
    mended = head + closed(last)
    tapped = replace(wire.tapped, skeleton=mended.encode(), cut=None)
    return replace(wire, tapped=tapped, incomplete=None)


def closed(text: str) -> str:
    """A beginning of JSON, cut back to its last whole value and closed.

    A number is whole only when something follows it.
    """
    stack: list[str] = []
    safe, closers, is_key = 0, "", False
    for token in _TOKEN.finditer(text):
        kind, end = token.group(), token.end()
        if kind == _CUT:
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


def _last_document(text: str) -> tuple[str, str]:
    """What stands before the last event of a stream, and its JSON; a plain body is one piece."""
    if text.lstrip()[:1] in ("{", "["):
        return "", text
    # only a line can begin an event: the same word in a prompt stands inside a string
    start = max((found.end() for found in _EVENT.finditer(text)), default=0)
    return text[:start], text[start:]
