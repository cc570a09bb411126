"""Reads a JSON document as a message of the API, as proto-JSON is read by Google's front end.

It takes camelCase and snake_case at every level, any letter case in enums, and one object where a
list is meant. Invariant: what passes has camelCase names and checked values only, each name once;
everything else is told at once, in one error, with the paths that Google names.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.server.gemini.envelope import BadBody
from heliograph.server.gemini.schema import ENUM_PREFIXES, ENUMS, MESSAGES

PACKAGE = "type.googleapis.com/google.ai.generativelanguage."
SHOWN = 256  # characters of a value that are repeated
MOST_FAULTS = 20  # told of one body
_BITS = {"int32": 31, "int64": 63}
_WORDS = {"true": True, "false": False}
_HUMP = re.compile(r"(?<=[a-z0-9])([A-Z])")
_UNDERLINE = re.compile(r"_([a-z0-9])")


@dataclass(frozen=True, kw_only=True)
class Long:
    """A base64 string, still as it was read: a placeholder of the tap's, or the text itself."""

    kind: str  # "data" or "signature"
    text: str
    where: str  # path, for errors


def read(document: object, message: str, *, version: str = "v1beta") -> dict[str, Any]:
    """The document as a message.

    Raises:
        BadBody: names every field that is wrong.
    """
    reader = _Reader(f"{PACKAGE}{version}.")
    found = reader.message(document, message, "")
    if reader.faults:
        faults = reader.faults[:MOST_FAULTS]
        violations = [{"field": path, "description": words} for path, words in faults]
        raise BadBody("\n".join(words for _, words in faults), facts={"violations": violations})
    return found


def snake(name: str) -> str:
    """camelCase or snake_case as snake_case."""
    return _HUMP.sub(r"_\1", name).lower()


def camel(name: str) -> str:
    """snake_case as camelCase."""
    return _UNDERLINE.sub(lambda match: match[1].upper(), name)


class _Reader:
    """One walk over one body; collects every fault it meets."""

    def __init__(self, package: str) -> None:
        self.package = package
        self.faults: list[tuple[str, str]] = []

    def message(self, value: object, name: str, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._invalid(path, self.package + name, value)
            return {}
        fields = MESSAGES[name]
        found: dict[str, Any] = {}
        for key, item in value.items():
            canonical = key if key in fields else camel(key)
            if canonical not in fields:
                self._unknown(key, path)
            elif canonical in found:
                self._complain(path, f'Invalid JSON payload received. "{key}" is set twice.')
            elif item is not None:
                where = f"{path}.{snake(canonical)}" if path else snake(canonical)
                found[canonical] = self._field(item, fields[canonical], where)
        return found

    def _field(self, value: object, kind: str, path: str) -> Any:
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

    def _single(self, value: object, kind: str, path: str) -> Any:
        if kind == "json":
            return value
        if kind in MESSAGES:
            return self.message(value, kind, path)
        if kind in ENUMS:
            return self._enum(value, kind, path)
        if kind in ("data", "signature"):
            if isinstance(value, str):
                return Long(kind=kind, text=value, where=path)
            self._invalid(path, "TYPE_BYTES", value)
            return None
        return self._scalar(value, kind, path)

    def _enum(self, value: object, kind: str, path: str) -> str:
        names = ENUMS[kind]
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
            return names[value]
        if isinstance(value, str):
            name = value.upper().removeprefix(ENUM_PREFIXES.get(kind, "\0"))
            if name in names:
                return name
        self._invalid(path, self.package + kind, value)
        return names[0]

    def _scalar(self, value: object, kind: str, path: str) -> Any:
        good: Any = None
        if kind == "string":
            good = value if isinstance(value, str) else None
        elif kind == "bool":
            good = value if isinstance(value, bool) else _WORDS.get(str(value))
        elif kind in _BITS:
            good = _integer(value, _BITS[kind])
        elif kind == "float":
            good = _number(value)
        if good is None:
            self._invalid(path, f"TYPE_{kind.upper()}", value)
        return good

    def _unknown(self, key: str, path: str) -> None:
        where = f" at '{path}'" if path else ""
        self._complain(
            path,
            f'Invalid JSON payload received. Unknown name "{key[:SHOWN]}"{where}: '
            "Cannot find field.",
        )

    def _invalid(self, path: str, kind: str, value: object) -> None:
        shown = json.dumps(value, ensure_ascii=False, default=str)
        shown = shown if len(shown) <= SHOWN else shown[:SHOWN] + "..."
        self._complain(path, f"Invalid value at '{path}' ({kind}), {shown}")

    def _complain(self, path: str, words: str) -> None:
        self.faults.append((path, words))


def _integer(value: object, bits: int) -> int | None:
    number = _number(value)
    if number is None or number != int(number):
        return None
    # beyond 2^53 a float is no longer exact, and int64 travels as a string
    exact = isinstance(value, int) or (isinstance(value, str) and value.lstrip("-").isdecimal())
    whole = int(value) if exact else int(number)  # type: ignore[call-overload]
    return whole if -(2**bits) <= whole < 2**bits else None


def _number(value: object) -> int | float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    if not math.isfinite(number):
        return None
    return value if isinstance(value, int | float) else number


def whole(text: str | None) -> int | None:
    """A header or query value as a whole number of believable length."""
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def first(mapping: Mapping[str, str], *names: str) -> str | None:
    """The first of these query parameters that is there: both spellings are taken."""
    return next((mapping[name] for name in names if name in mapping), None)
