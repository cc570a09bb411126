"""The nouns as JSON-ready values and back; sidecars and database rows both go through here.

Invariant: `from_document(kind, to_document(value))` equals `value`, with every type checked on
the way back and every time in UTC. Equal values give equal documents, key for key in one order.
"""

import dataclasses
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from heliograph.errors import StorageError

T = TypeVar("T")
PLAIN = frozenset({str, int, bool, NoneType})  # their own documents


def to_document(value: Any) -> Any:
    """Dataclasses, enums, times, paths, mappings and sequences as plain JSON values.

    Raises:
        StorageError: something in it has no exact JSON form (NaN, a naive time, an object).
    """
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind in (list, tuple):
        return [to_document(item) for item in value]
    if kind is dict or isinstance(value, Mapping):
        if all(isinstance(name, str) for name in value):
            return {name: to_document(item) for name, item in sorted(value.items())}
    elif isinstance(value, Enum):
        return value.value
    elif dataclasses.is_dataclass(kind):
        return {name: to_document(getattr(value, name)) for name in _names(kind)}
    elif isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    elif isinstance(value, PurePath):
        return str(value)
    # subclasses of these come last, because almost nothing is one
    elif isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    elif isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    raise StorageError(
        "The record holds something that cannot be written exactly.",
        why=f"{value!r} has no exact JSON form.",
    )


def from_document(kind: type[T], document: Any) -> T:
    """A `kind` made from its document.

    Raises:
        StorageError: the document is damaged; says where.
    """
    made: T = _decode(kind, document, kind.__name__)
    return made


def _decode(hint: Any, value: Any, where: str) -> Any:
    if hint in PLAIN:
        # type() and not isinstance(): True is no number here
        _expect(type(value) is hint, hint.__name__, where)
        return value
    origin, arguments = _origin(hint)
    if origin in (UnionType, Union):
        return _decode_optional(arguments, value, where)
    if origin is tuple:
        return _decode_tuple(arguments, value, where)
    if origin is Mapping:
        return _decode_mapping(arguments[1], value, where)
    return _decode_class(hint, value, where)


def _decode_class(hint: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _decode_fields(hint, value, where)
    if issubclass(hint, Enum):
        valid = [member.value for member in hint]
        _expect(value in valid, f"one of {valid}", where)
        return hint(value)
    if hint is datetime:
        return _decode_time(value, where)
    if hint is Path:
        _expect(type(value) is str, "a path", where)
        return Path(value)
    # the last kind that nouns are made of; a whole number is a float's value too
    _expect(hint is float and type(value) in (float, int), hint.__name__, where)
    return value


def _decode_optional(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and NoneType in kinds:
        return None
    # bytes have no document, so whatever was written for `Path | bytes` is a path; of a noun and
    # a plain kind, such as `Path | Given`, the noun is the one that is written as an object
    left = [kind for kind in kinds if kind not in (NoneType, bytes)]
    nouns = [kind for kind in left if dataclasses.is_dataclass(kind)]
    if len(left) > 1:
        left = nouns if isinstance(value, dict) else [k for k in left if k not in nouns]
    (kind,) = left
    return _decode(kind, value, where)


def _decode_tuple(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    _expect(isinstance(value, list), "a list", where)
    if kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    _expect(len(value) == len(kinds), f"a list of {len(kinds)}", where)
    items = enumerate(zip(kinds, value, strict=True))
    return tuple(_decode(kind, item, f"{where}[{n}]") for n, (kind, item) in items)


def _decode_mapping(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", where)
    if kind is Any:
        return value
    return {name: _decode(kind, item, f"{where}.{name}") for name, item in value.items()}


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", where)
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    _expect(not unknown, f"no fields named {unknown}", where)
    # a field that was added later has a default, so what was kept before it stays readable
    missing = sorted(_required(kind) - set(value))
    _expect(not missing, f"fields named {missing}", where)
    return kind(**{name: _decode(hints[name], value[name], f"{where}.{name}") for name in value})


def _decode_time(value: Any, where: str) -> datetime:
    _expect(isinstance(value, str), "a time", where)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError as error:
        raise _damaged("a time", where) from error
    _expect(moment.tzinfo is not None, "a time with its zone", where)
    return moment.astimezone(UTC)


@lru_cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


@lru_cache
def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


@lru_cache
def _required(kind: type[Any]) -> frozenset[str]:
    absent = dataclasses.MISSING
    return frozenset(
        field.name
        for field in dataclasses.fields(kind)
        if field.default is absent and field.default_factory is absent
    )


@lru_cache
def _origin(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


def _expect(holds: bool, expected: str, where: str) -> None:  # noqa: FBT001
    if not holds:
        raise _damaged(expected, where)


def _damaged(expected: str, where: str) -> StorageError:
    return StorageError(
        "This does not have the shape of a record.",
        why=f"{where}: expected {expected}.",
        remedy="If a newer Heliograph wrote it, upgrade; if it is damaged, restore a backup.",
        facts={"where": where},
    )
