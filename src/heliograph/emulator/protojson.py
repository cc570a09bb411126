"""Proto-JSON reading; invariant: what passes has snake_case names and checked types only.

Google's front end takes lowerCamelCase and snake_case names at every level, any letter case in
enums, one object where a list is meant, and both base64 alphabets. It answers 400 with the
snake_case path for everything else, all faults of a request in one message.
"""

import binascii
import json
import math
import re
from collections.abc import Mapping
from typing import Any

from heliograph.emulator.envelope import ApiError, bad_request
from heliograph.emulator.schema import ENUM_PREFIXES, ENUMS, MESSAGES, ONEOFS

_PACKAGE = "type.googleapis.com/google.ai.generativelanguage."
_INTEGERS = {"int32": 31, "int64": 63}
# google.protobuf.Duration: whole seconds, up to nine decimals, at most about 10,000 years.
_DURATION = re.compile(r"-?([0-9]{1,12})(?:\.[0-9]{1,9})?s")
_LONGEST_SECONDS = 315_576_000_000
_BOOL_WORDS = {"true": True, "false": False}


def camel(name: str) -> str:
    """snake_case to lowerCamelCase, as a proto compiler names a field in JSON."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


# By message: what a field may be called, and the field.
_SPELLINGS: Mapping[str, Mapping[str, str]] = {
    message: {spelling: name for name in fields for spelling in (name, camel(name))}
    for message, fields in MESSAGES.items()
}


def load(body: bytes) -> Any:
    """Read a body as JSON; an empty one is an empty message."""
    try:
        return json.loads(body) if body.strip() else {}
    except (ValueError, RecursionError) as error:
        raise _rejected(
            [("", f"Invalid JSON payload received. {_json_complaint(error)}")]
        ) from None


def read(document: Any, message: str, *, version: str = "v1beta") -> dict[str, Any]:
    """Read a JSON document as a message, or raise the 400 that Google would."""
    reader = _Reader(version)
    value = reader.message(document, message, "")
    if reader.faults:
        raise _rejected(reader.faults)
    return value


def _json_complaint(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        near = error.doc[error.pos : error.pos + 20]
        return f"Unexpected token.\n{near}\n^" if near else "Unexpected end of string."
    return "Invalid UTF-8." if isinstance(error, UnicodeDecodeError) else "Too deeply nested."


def _rejected(faults: list[tuple[str, str]]) -> ApiError:
    violations = []
    for path, description in faults:
        violation = {"description": description}
        violations.append({"field": path, **violation} if path else violation)
    return ApiError(
        code=400,
        status="INVALID_ARGUMENT",
        message="\n".join(description for _, description in faults),
        details=(bad_request(violations),),
    )


class _Reader:
    """One walk over one body; collects every fault it meets."""

    def __init__(self, version: str) -> None:
        self.package = f"{_PACKAGE}{version}."
        self.faults: list[tuple[str, str]] = []

    def message(self, value: Any, name: str, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._invalid(path, self.package + name, value)
            return {}
        fields = MESSAGES[name]
        seen: set[str] = set()
        found: dict[str, Any] = {}
        for key, item in value.items():
            canonical = _SPELLINGS[name].get(key)
            if canonical is None:
                self._unknown(key, path, "Cannot find field.")
            elif canonical in seen:
                # Google's own words for this are not known.
                self._unknown(key, path, "Field is already set.")
            elif item is not None and not self._clashes(key, canonical, found, name, path):
                where = f"{path}.{canonical}" if path else canonical
                found[canonical] = self._field(item, fields[canonical], where)
            if canonical is not None:
                seen.add(canonical)
        return found

    def _clashes(
        self, key: str, canonical: str, found: Mapping[str, Any], name: str, path: str
    ) -> bool:
        for oneof, members in ONEOFS.get(name, {}).items():
            if canonical in members and not members.isdisjoint(found):
                self._complain(
                    path,
                    f"Invalid value at '{path}' (oneof), oneof field '{oneof}' is already set. "
                    f"Cannot set '{key}'",
                )
                return True
        return False

    def _field(self, value: Any, kind: str, path: str) -> Any:
        if not kind.startswith("*"):
            if isinstance(value, list) and kind != "json":
                name = path.rpartition(".")[2]
                self._complain(
                    path,
                    f'Invalid JSON payload received. Unknown name "{name}": '
                    "Proto field is not repeating, cannot start list.",
                )
                return None
            return self._single(value, kind, path)
        if not isinstance(value, list):
            return [self._single(value, kind[1:], path)]
        return [self._single(item, kind[1:], f"{path}[{i}]") for i, item in enumerate(value)]

    def _single(self, value: Any, kind: str, path: str) -> Any:
        if kind == "json":
            return value
        if kind in MESSAGES:
            return self.message(value, kind, path)
        if kind in ENUMS:
            return self._enum(value, kind, path)
        if kind == "bytes":
            return self._bytes(value, path)
        if kind == "duration":
            return self._duration(value, path)
        return self._scalar(value, kind, path)

    def _enum(self, value: Any, kind: str, path: str) -> str:
        names = ENUMS[kind]
        if isinstance(value, int) and not isinstance(value, bool):
            for name, number in names.items():
                if number == value:
                    return name
        if isinstance(value, str):
            name = value.upper().removeprefix(ENUM_PREFIXES.get(kind, "\0"))
            if name in names:
                return name
        self._invalid(path, self.package + kind, value)
        return next(iter(names))

    def _bytes(self, value: Any, path: str) -> bytes:
        if isinstance(value, str):
            try:
                return decode_base64(value)
            except ValueError:
                shown = value if len(value) <= 64 else value[:64] + "..."
                self._complain(
                    path,
                    f"Invalid value at '{path}' (TYPE_BYTES), Base64 decoding failed for "
                    f'"{shown}"',
                )
                return b""
        self._invalid(path, "TYPE_BYTES", value)
        return b""

    def _duration(self, value: Any, path: str) -> str:
        if isinstance(value, str):
            found = _DURATION.fullmatch(value)
            if found and int(found[1]) <= _LONGEST_SECONDS:
                return value
        self._invalid(path, "type.googleapis.com/google.protobuf.Duration", value)
        return "0s"

    def _scalar(self, value: Any, kind: str, path: str) -> Any:
        good: Any = None
        if kind == "string":
            good = value if isinstance(value, str) and _is_unicode(value) else None
        elif kind == "bool":
            good = value if isinstance(value, bool) else _BOOL_WORDS.get(str(value))
        elif kind in _INTEGERS:
            good = _integer(value, _INTEGERS[kind])
        elif kind == "float":
            good = _number(value)
        if good is None:
            self._invalid(path, f"TYPE_{kind.upper()}", value)
        return good

    def _unknown(self, key: str, path: str, reason: str) -> None:
        where = f" at '{path}'" if path else ""
        self._complain(
            path, f'Invalid JSON payload received. Unknown name "{key}"{where}: {reason}'
        )

    def _invalid(self, path: str, kind: str, value: Any) -> None:
        shown = _shown(value)
        shown = shown if len(shown) <= 256 else shown[:256] + "..."
        self._complain(path, f"Invalid value at '{path}' ({kind}), {shown}")

    def _complain(self, path: str, description: str) -> None:
        self.faults.append((path, description))


def _shown(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "..."


def whole(text: str) -> int | None:
    """A header or query value as a whole number of believable length."""
    return int(text) if text.isdecimal() and len(text) <= 18 else None


def decode_base64(text: str) -> bytes:
    """Strict base64 of either alphabet, padded or not."""
    if "-" in text or "_" in text:
        text = text.translate({ord("-"): "+", ord("_"): "/"})
    text += "=" * (-len(text) % 4)
    return binascii.a2b_base64(text, strict_mode=True)


def _is_unicode(text: str) -> bool:
    """Whether a string can be UTF-8: JSON escapes can spell half a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _integer(value: Any, bits: int) -> int | None:
    number = _number(value)
    if number is None or number != int(number):
        return None
    # Beyond 2^53 a float is no longer exact, and int64 travels as a string.
    exact = isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal())
    whole = int(value) if exact else int(number)
    return whole if -(2**bits) <= whole < 2**bits else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
