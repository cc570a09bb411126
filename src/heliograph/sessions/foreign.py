"""What a record out of a foreign folder must look like before it is kept. Pure.

Invariant: a record that passes holds, wherever other parts read, values of the kind they read, and
numbers and text that every database and every upstream can take. What nobody reads may be anything
of a plain size.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from heliograph.planning.wording import NAME
from heliograph.sessions.inherit import INHERITED, makes_sense
from heliograph.types import ROLES, Record

ID = re.compile(r"[0-9a-f]{8,64}")
KEY = re.compile(r"sha256/[0-9a-f]{2}/([0-9a-f]{64})\.[a-z0-9]{1,8}")
DEEPEST = 64  # levels of lists and objects
LARGEST_NUMBER = 2**53  # either way; what every JSON reader takes exactly
LARGEST_COST = 10**12  # micro-dollars
CLOCKS = timedelta(minutes=1)  # that two machines may be apart
_SHA = re.compile(r"[0-9a-f]{64}")
_PIXELS = re.compile(r"[1-9][0-9]{0,5}x[1-9][0-9]{0,5}")
_MEDIA_TYPE = re.compile(r"image/[a-z0-9.+-]{1,60}")
_HALF = re.compile("[\ud800-\udfff]")


def wrong_document(document: object) -> str | None:
    """Why a JSON value can be no session, whatever it says; None when it can."""
    level: list[Any] = [document]
    for _ in range(DEEPEST + 1):
        if not level:
            return None
        for value in level:
            if isinstance(value, float) and not math.isfinite(value):
                return "it has a number that is none"
            if isinstance(value, int) and abs(value) > LARGEST_NUMBER:
                return "it has a number that is too large"
        level = [item for value in level for item in _items(value)]
    return f"it is nested deeper than {DEEPEST} levels"


def _items(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def wrong_record(record: Record, now: datetime) -> str | None:
    """Why a record cannot be taken over, in words; None when it can."""
    return next(_faults(record, now), None)


def _faults(record: Record, now: datetime) -> Iterator[str]:
    """What is wrong with a record, in words."""
    if record.created > now + CLOCKS:
        # it would be the last that was worked on, whatever is done here from now on
        yield "was made in the future"
    if record.follows is not None and not ID.fullmatch(record.follows):
        yield "follows a strange id"
    if not 0 <= record.cost <= LARGEST_COST or record.attempts < 0:
        yield "has a strange cost"
    for text in (record.prompt, record.model, record.tier, record.size, record.aspect):
        if text is not None and _HALF.search(text):
            yield "has text that cannot be sent"
    for image in record.images:
        if f"/{image.sha256}." not in image.key:
            yield "has a picture under another one's name"
        if min(image.pixels.width, image.pixels.height, image.size) < 1:
            yield "has a picture without pixels"
        if not _MEDIA_TYPE.fullmatch(image.media_type):
            yield "has a picture of a strange type"
    for part in record.turn:
        names = [part[name] for name in ("text", "image") if name in part]
        if not all(isinstance(value, str) for value in names):
            yield "has a strange turn"
        if not _is_key(part.get("signature")):
            yield "has a strange signature"
    yield from _request_faults(record.request)


def _request_faults(request: Mapping[str, Any]) -> Iterator[str]:
    for name in INHERITED:
        value = request.get(name)
        if not makes_sense(name, value) or not _is_text(value, name):
            yield f"has a strange {name}"
    for name in ("prompt", "words", "session", "follows", "idempotency_key"):
        value = request.get(name)
        if value is not None and not (isinstance(value, str) and _is_text(value, name)):
            yield f"has strange {name}"
    references = request.get("references")
    if references is not None and not _all(references, _is_reference):
        yield "has strange references"
    if not _all(request.get("history") or [], _is_history):
        yield "has a strange history"
    if not _all(request.get("told") or [], _is_cast):
        yield "has strange casts"
    if not _all(request.get("casts") or [], lambda each: isinstance(each, str)):
        yield "has strange casts"
    if request.get("area") is not None and not _is_area(request["area"]):
        yield "has a strange area"


def _all(values: object, fits: Any) -> bool:
    return isinstance(values, list) and all(fits(value) for value in values)


def _is_text(value: object, name: str) -> bool:
    """Whether all text in a setting can be sent."""
    if isinstance(value, Mapping):
        return all(_is_text(key, name) and _is_text(item, name) for key, item in value.items())
    if isinstance(value, list):
        return all(_is_text(item, name) for item in value)
    return not (isinstance(value, str) and _HALF.search(value))


def _is_reference(facts: object) -> bool:
    """Whether it says of an input image what records say, key and size since version 0.2."""
    if not isinstance(facts, Mapping):
        return False
    label, size, key = facts.get("label"), facts.get("size", 0), facts.get("key")
    named = KEY.fullmatch(key) if isinstance(key, str) else None
    return (
        _fits(_SHA, facts.get("sha256"))
        and _fits(_PIXELS, facts.get("pixels"))
        and _fits(_MEDIA_TYPE, facts.get("media_type"))
        and isinstance(facts.get("name"), str)
        and _is_number(size)
        and facts.get("role") in (None, *ROLES, "base", "mark")
        and (label is None or _fits(NAME, label))
        and (key is None or (named is not None and named[1] == facts["sha256"]))
    )


def _is_area(facts: object) -> bool:
    if not isinstance(facts, Mapping):
        return False
    region, mask = facts.get("region"), facts.get("mask")
    is_region = _all(region, _is_number) and len(region or ()) == len(("x", "y", "w", "h"))
    return (
        _is_reference(facts.get("picture"))
        and (region is None or is_region)
        and (mask is None or _is_reference(mask))
        and (region is None) is not (mask is None)
        and _is_number(facts.get("feather", 0))
        and isinstance(facts.get("protect", False), bool)
    )


def _is_history(facts: object) -> bool:
    return (
        isinstance(facts, Mapping)
        and isinstance(facts.get("record"), str)
        and _all(facts.get("images"), lambda each: isinstance(each, str))
    )


def _is_cast(facts: object) -> bool:
    return isinstance(facts, Mapping) and all(
        isinstance(facts.get(name), str) and _is_text(facts[name], name)
        for name in ("name", "description")
    )


def _is_key(value: object) -> bool:
    return value is None or _fits(KEY, value)


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _fits(pattern: re.Pattern[str], value: object) -> bool:
    return isinstance(value, str) and pattern.fullmatch(value) is not None
