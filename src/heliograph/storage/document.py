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
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from heliograph.errors import StorageError

T = TypeVar("T")


def to_document(value: Any) -> Any:
    """Dataclasses, enums, times, mappings and sequences as plain JSON values.

    Raises:
        StorageError: something in it has no exact JSON form (NaN, a naive time, an object).
    """
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone(UTC).isoformat()
    if isinstance(value, list | tuple):
        return [to_document(item) for item in value]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: to_document(item) for name, item in sorted(value.items())}
    if dataclasses.is_dataclass(value):
        return {f.name: to_document(getattr(value, f.name)) for f in dataclasses.fields(value)}
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
    origin = get_origin(hint)
    if origin in (UnionType, Union):
        return _decode_optional(hint, value, where)
    if origin is tuple:
        _expect(isinstance(value, list), "a list", where)
        kind = get_args(hint)[0]
        return tuple(_decode(kind, item, f"{where}[{n}]") for n, item in enumerate(value))
    if origin is Mapping:
        _expect(isinstance(value, dict), "an object", where)
        return value
    if dataclasses.is_dataclass(hint):
        return _decode_fields(hint, value, where)
    if issubclass(hint, Enum):
        valid = [member.value for member in hint]
        _expect(value in valid, f"one of {valid}", where)
        return hint(value)
    if hint is datetime:
        return _decode_time(value, where)
    # type() and not isinstance(): True is no number here
    _expect(type(value) is hint, f"{hint.__name__}", where)
    return value


def _decode_optional(hint: Any, value: Any, where: str) -> Any:
    kinds = get_args(hint)
    if value is None and NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not NoneType)
    return _decode(kind, value, where)


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, dict), "an object", where)
    hints = _hints(kind)
    unknown = sorted(set(value) - set(hints))
    _expect(not unknown, f"no fields named {unknown}", where)
    # a field that was added later has a default, so what was kept before it stays readable
    required = {f.name for f in dataclasses.fields(kind) if _required(f)}
    missing = sorted(required - set(value))
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


def _required(field: dataclasses.Field[Any]) -> bool:
    absent = dataclasses.MISSING
    return field.default is absent and field.default_factory is absent


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
