"""Reads JSON as a message of Google's API: the proto3 JSON mapping, as a gateway needs it.

A name counts in its JSON spelling and in its original one; null is nothing; numbers may stand in
quotes; an enum value is taken by name, in any case, or by number. As Google does, a repeated field
takes a lone value for a list of one: its own samples write `"parts": {"text": "…"}` so.

Sources: protobuf.dev/programming-guides/json; the wording and all faults in one message from
gemini-api.md 2.6 and 5.2. What the mapping allows and JSON cannot say again, NaN and the
infinities, is refused: a body is passed on as JSON.

Invariant: a document is understood to its last name, or refused with the place of everything in it
that was not; nothing is dropped, and reading what was read changes nothing.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from heliograph.server.gemini.envelope import BadBody
from heliograph.server.gemini.schema import ENUMS, MESSAGES, Field

MOST_TOLD = 20  # faults of one document
LONGEST = 100  # characters of a bad name or value that are repeated
LONGEST_NUMBER = 400  # characters of one in quotes; no double needs more
LARGEST_FLOAT = 3.4028235677973366e38  # what is nearer to the next one is infinite
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,4})?")
_DURATION = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,9})?s")
_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
_WHOLE = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, kw_only=True)
class Long:
    """Bytes in base64, still as they were written: they may stand in a file."""

    kind: Literal["data", "signature"]  # what is decoded, and what goes on byte for byte
    text: str
    where: str  # path in Google's spelling


def read(document: object, message: str, *, version: str = "v1beta") -> dict[str, Any]:
    """A document as a message of `schema.MESSAGES`, all names in their JSON spelling.

    Args:
        version: of the API; Google names it in some of its texts.

    Raises:
        BadBody: it is no such message; tells every place where it is not, up to `MOST_TOLD`.
    """
    reader = _Reader(version)
    found = reader.message(document, message, "")
    if reader.faults:
        told = reader.faults[:MOST_TOLD]
        text = "\n".join(fault["description"] for fault in told)
        raise BadBody(text, facts={"violations": told})
    return found


def camel(name: str) -> str:
    """The JSON spelling of an original name."""
    first_word, *more = name.split("_")
    return first_word + "".join(word[:1].upper() + word[1:] for word in more)


def snake(name: str) -> str:
    """The original spelling of a JSON name."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name)


def whole(text: str | None) -> int | None:
    """A number without sign, in digits; None when it is something else."""
    return int(text) if text is not None and _WHOLE.fullmatch(text) else None


def first(mapping: Mapping[str, str], *names: str) -> str | None:
    """The value of the first of these names that is there."""
    return next((mapping[name] for name in names if name in mapping), None)


# ---------------------------------------------------------------- scalars


class _Unfit(ValueError):
    """A value that its kind cannot hold."""


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Unfit
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Unfit
    return value


def _number(value: object) -> int | float | Decimal:
    """A number, be it in quotes."""
    if isinstance(value, str) and len(value) <= LONGEST_NUMBER and _NUMBER.fullmatch(value):
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Unfit
    return value


def _integer(bits: int) -> Callable[[object], int]:
    largest: int = 2 ** (bits - 1)

    def take(value: object) -> int:
        number = _number(value)
        # a number with an exponent may stand for more digits than anybody wants to see
        if not -largest <= number < largest or number != int(number):
            raise _Unfit
        return int(number)

    return take


def _real(largest: float) -> Callable[[object], int | float]:
    def take(value: object) -> int | float:
        number = _number(value)
        if not -largest < number < largest:
            raise _Unfit
        return float(number) if isinstance(number, Decimal) else number

    return take


def _duration(value: object) -> str:
    if not _DURATION.fullmatch(_text(value)):
        raise _Unfit
    return _text(value)


def _timestamp(value: object) -> str:
    found = _TIME.fullmatch(_text(value))
    if found is None:
        raise _Unfit
    try:
        datetime.fromisoformat(f"{found[1]}+00:00")
    except ValueError:
        raise _Unfit from None
    return _text(value)


def _object(value: object) -> object:
    if not isinstance(value, dict):
        raise _Unfit
    return value


@dataclass(frozen=True, kw_only=True)
class _Scalar:
    """A kind whose values have no fields that are read."""

    take: Callable[[object], Any]  # raises _Unfit
    label: str  # what Google calls it
    has_parts: bool = False  # it may be an object


_WELL_KNOWN = "type.googleapis.com/google.protobuf."
_SCALARS: Mapping[str, _Scalar] = {
    "string": _Scalar(take=_text, label="TYPE_STRING"),
    "bool": _Scalar(take=_truth, label="TYPE_BOOL"),
    "int32": _Scalar(take=_integer(32), label="TYPE_INT32"),
    "int64": _Scalar(take=_integer(64), label="TYPE_INT64"),
    "float": _Scalar(take=_real(LARGEST_FLOAT), label="TYPE_FLOAT"),
    "double": _Scalar(take=_real(math.inf), label="TYPE_DOUBLE"),
    "Duration": _Scalar(take=_duration, label=f"{_WELL_KNOWN}Duration"),
    "Timestamp": _Scalar(take=_timestamp, label=f"{_WELL_KNOWN}Timestamp"),
    "Struct": _Scalar(take=_object, label=f"{_WELL_KNOWN}Struct", has_parts=True),
    "Unserved": _Scalar(take=_object, label=f"{_WELL_KNOWN}Struct", has_parts=True),
}


# ---------------------------------------------------------------- messages


class _Reader:
    """Walks one document and gathers what is wrong with it."""

    def __init__(self, version: str) -> None:
        self._package = f"type.googleapis.com/google.ai.generativelanguage.{version}."
        self.faults: list[dict[str, str]] = []

    def message(self, value: object, kind: str, where: str) -> dict[str, Any]:
        """The fields of a message that are set; what is wrong is noted."""
        if not isinstance(value, dict):
            if where:
                self._invalid(where, self._package + kind, value)
            else:
                self._misread("Root element must be a message.", where)
            return {}
        fields, found = MESSAGES[kind], {}
        taken: dict[str, str] = {}  # the spelling by name
        choices: set[str] = set()  # the oneofs that are set
        for spelled, given in value.items():
            name = _resolved(spelled, fields)
            if name is None:
                self._unknown(spelled, where, "Cannot find field.")
                continue
            if name in taken:
                self._unknown(spelled, where, f"It stands there twice, as '{taken[name]}' too.")
                continue
            taken[name] = spelled
            if given is None:
                continue
            one = fields[name].oneof
            if one in choices:
                self._note(
                    f"Invalid value at '{where}' (oneof), oneof field '{one}' is already set. "
                    f"Cannot set '{spelled}'",
                    where,
                )
            if one:
                choices.add(one)
            found[name] = self._field(given, fields[name], name, where)
        return found

    def _field(self, value: object, field: Field, name: str, where: str) -> Any:
        place = f"{where}.{snake(name)}" if where else snake(name)
        if field.form == "map":
            if not isinstance(value, dict):
                return self._invalid(place, "map", value)
            # on the wire a map is a list of pairs, and so Google names its places
            return {
                key: self._one(item, field.kind, f"{place}[{i}].value")
                for i, (key, item) in enumerate(value.items())
            }
        if field.form == "repeated":
            items = value if isinstance(value, list) else [value]
            return [self._one(item, field.kind, f"{place}[{i}]") for i, item in enumerate(items)]
        if isinstance(value, list) and field.kind != "Value":
            why = "Proto field is not repeating, cannot start list."
            return self._unknown(snake(name), where, why)
        return self._one(value, field.kind, place)

    def _one(self, value: object, kind: str, place: str) -> Any:
        """One value of a kind."""
        if kind in MESSAGES:
            return self.message(value, kind, place)
        if kind in ENUMS:
            return self._enum(value, kind, place)
        if kind == "bytes":
            return self._bytes(value, place)
        if kind == "Value":
            return value
        scalar = _SCALARS[kind]
        if isinstance(value, dict) and not scalar.has_parts:
            return self._started(place, scalar.label)
        try:
            return scalar.take(value)
        except _Unfit:
            return self._invalid(place, scalar.label, value)

    def _enum(self, value: object, kind: str, place: str) -> str | None:
        given = value.lower() if isinstance(value, str) else value
        if isinstance(given, str | int) and not isinstance(given, bool):
            for name, spellings in ENUMS[kind].items():
                if given in spellings:
                    return name
        self._invalid(place, self._package + kind, value)
        return None

    def _bytes(self, value: object, place: str) -> Long | None:
        """Base64 is looked at where the bytes are: most of it stands in a file."""
        if isinstance(value, Long):
            return value
        if not isinstance(value, str):
            self._invalid(place, "TYPE_BYTES", value)
            return None
        is_picture = place.endswith(".inline_data.data")
        return Long(kind="data" if is_picture else "signature", text=value, where=place)

    # ------------------------------------------------------------ faults

    def _invalid(self, place: str, label: str, value: object) -> None:
        shown = f'"{_cut(value)}"' if isinstance(value, str) else _cut(_as_json(value))
        self._note(f"Invalid value at '{place}' ({label}), {shown}", place)

    def _started(self, place: str, label: str) -> None:
        why = "Starting an object on a scalar field"
        self._note(f"Invalid value at '{place}' ({label}), {why}", place)

    def _unknown(self, name: str, where: str, why: str) -> None:
        at = f" at '{where}'" if where else ""
        self._misread(f'Unknown name "{_cut(name)}"{at}: {why}', where)

    def _misread(self, why: str, where: str) -> None:
        self._note(f"Invalid JSON payload received. {why}", where)

    def _note(self, text: str, where: str) -> None:
        self.faults.append(
            {"field": where, "description": text} if where else {"description": text}
        )


def _resolved(spelled: str, fields: Mapping[str, Field]) -> str | None:
    """The JSON name of a field in either spelling; a mixture of the two is neither."""
    if spelled in fields:
        return spelled
    name = camel(spelled)
    return name if name in fields and snake(name) == spelled else None


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _as_json(value: object) -> str:
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    named = {None: "null", True: "true", False: "false"}
    return named[value] if value is None or isinstance(value, bool) else str(value)
