"""Reads JSON that strangers send, strictly: what two parsers could read in two ways is refused.

Invariant: what comes out is finite, has no key twice, is nested at most `DEPTH` deep and can be
written as UTF-8 again; and a document that is refused costs little more than its bytes (S55).
"""

import json
import math
import re
from collections import Counter
from typing import Any, NoReturn

from starlette.requests import Request

from heliograph.server.faults import Fault, TooLarge, UnsupportedMedia

DEPTH = 64
PARTS = 200_000  # brackets and commas; each may stand for hundreds of bytes when it is read
DIGITS = 64  # characters of a number
JSON_TYPE = re.compile(r"application/(?:[a-z0-9.!#$&^_-]+\+)?json", re.ASCII)
SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
MARK = re.compile(rb"[\[\]{},]")


async def read_json(request: Request, limit: int | None = None) -> Any:
    """The JSON document that is the body of a request.

    Args:
        limit: bytes, where a route takes less than the gateway.

    Raises:
        UnsupportedMedia: the content type says something else, or nothing.
        TooLarge: it has more bytes.
        Fault: it is no JSON, or none that is taken.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not JSON_TYPE.fullmatch(kind):
        raise UnsupportedMedia(
            "The body must be JSON.",
            why=f"Its content type is {kind[:80]!r}." if kind else "It has no content type.",
            remedy="Send `Content-Type: application/json`.",
        )
    chunks, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if limit is not None and size > limit:
            raise TooLarge("The body has too many bytes.", facts={"limit": limit})
        chunks.append(chunk)
    return parse_json(b"".join(chunks))


def parse_json(data: bytes) -> Any:
    """A JSON document.

    Raises:
        Fault: it is none, or it has numbers that are not finite or longer than 64 characters, a
            name twice in one object, half a character pair, more than 64 levels or 200,000
            brackets and commas.
    """
    _refuse_sprawl(data)
    try:
        found = json.loads(
            data.decode(),
            parse_int=_integer,
            parse_float=_float,
            parse_constant=_constant,
            object_pairs_hook=_once_each,
        )
    except UnicodeDecodeError:
        raise _refused("it is no UTF-8") from None
    except json.JSONDecodeError as error:
        raise _refused(f"{error.msg}, line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise _refused(f"it is nested more than {DEPTH} deep") from None
    if SURROGATE.search(data):
        _refuse_halves(found)
    return found


def _refuse_sprawl(data: bytes) -> None:
    """Before anything is built of it. Strings are leapt over: a picture costs next to nothing."""
    depth = parts = at = 0
    while at < len(data):
        quote = data.find(b'"', at)
        for found in MARK.finditer(data, at, quote if quote >= 0 else len(data)):
            mark = data[found.start()]
            parts += 1
            if mark in b"[{":
                depth += 1
            elif mark in b"]}":
                depth -= 1
            if depth > DEPTH:
                raise _refused(f"it is nested more than {DEPTH} deep")
            if parts > PARTS:
                raise _refused("it has too many parts")
        at = len(data) if quote < 0 else _behind_string(data, quote + 1)


def _behind_string(data: bytes, at: int) -> int:
    while (quote := data.find(b'"', at)) >= 0:
        slashes = quote
        while data[slashes - 1] == ord("\\") and slashes > at:
            slashes -= 1
        if (quote - slashes) % 2 == 0:
            return quote + 1
        at = quote + 1
    return len(data)


def _integer(text: str) -> int:
    if len(text) > DIGITS:
        raise _refused("it has a number that is too long")
    return int(text)


def _float(text: str) -> float:
    found = float(text) if len(text) <= DIGITS else math.inf
    if not math.isfinite(found):
        raise _refused("it has a number that is too large or too long")
    return found


def _constant(text: str) -> NoReturn:
    raise _refused(f"{text} is no number in JSON")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise _refused(f"it has the name {twice[:80]!r} twice in one object")
    return found


def _refuse_halves(found: Any) -> None:
    left = [found]
    while left:
        value = left.pop()
        if isinstance(value, dict):
            left.extend(value)
            left.extend(value.values())
        elif isinstance(value, list):
            left.extend(value)
        elif isinstance(value, str):
            try:
                value.encode()
            except UnicodeEncodeError:
                raise _refused("it has half a surrogate pair") from None


def _refused(why: str) -> Fault:
    return Fault(
        "The body is no valid JSON.", why=f"{why[:1].upper()}{why[1:]}.", remedy="Correct it."
    )
