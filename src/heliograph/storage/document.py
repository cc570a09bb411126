"""The nouns as JSON-ready values and back; sidecars and database rows both go through here.

Invariant: `from_document(kind, to_document(value))` equals `value`, with every type checked on
the way back and every time in UTC. Equal values give equal documents, key for key in one order.

Every paid call goes through here a few dozen times, so what is to be done with a type is found
out once: a reader for each type, and where damage lies is only put together when there is some.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from heliograph.errors import StorageError

T = TypeVar("T")
PLAIN = frozenset({str, int, bool, NoneType})  # their own documents
Read = Callable[[Any], Any]


class _Damage(Exception):
    """A value of another shape than its type's; gathers the way to it, and never leaves here."""

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.steps: list[str] = []


def to_document(value: Any) -> Any:
    """Dataclasses, enums, times, paths, mappings and sequences as plain JSON values.

    Raises:
        StorageError: something in it has no exact JSON form (NaN, a naive time, an object).
    """
    kind: Any = type(value)
    if kind in PLAIN:
        return value
    if kind in (list, tuple):
        return [item if type(item) in PLAIN else to_document(item) for item in value]
    names = _names(kind)
    if names is not None:
        document = {name: getattr(value, name) for name in names}
        return {k: v if type(v) in PLAIN else to_document(v) for k, v in document.items()}
    if kind is dict or isinstance(value, Mapping):
        if all(type(name) is str for name in value):
            items = sorted(value.items())
            return {k: v if type(v) in PLAIN else to_document(v) for k, v in items}
    elif isinstance(value, Enum):
        return value.value
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
    hint: Any = kind
    try:
        made: T = _reader(hint)(document)
    except _Damage as damage:
        where = kind.__name__ + "".join(reversed(damage.steps))
        raise StorageError(
            "This does not have the shape of a record.",
            why=f"{where}: expected {damage.expected}.",
            remedy="If a newer Heliograph wrote it, upgrade; if it is damaged, restore a backup.",
            facts={"where": where},
        ) from damage.__cause__
    return made


@cache
def _reader(hint: Any) -> Read:
    """What reads values of a type hint; raises `_Damage` for others."""
    if hint in PLAIN:
        return _plain(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (UnionType, Union):
        return _optional(arguments)
    if origin is tuple:
        return _tuple(arguments)
    if origin is Mapping:
        return _mapping(arguments[1])
    if dataclasses.is_dataclass(hint):
        return _fields(hint)
    if issubclass(hint, Enum):
        return _member(hint)
    if hint is datetime:
        return _time
    if hint is Path:
        return lambda value: Path(_text(value, "a path"))
    # the last kind that nouns are made of; a whole number is a float's value too
    return _number if hint is float else _nothing(hint)


def _plain(kind: Any) -> Read:
    def read(value: Any) -> Any:
        # type() and not isinstance(): True is no number here
        if type(value) is not kind:
            raise _Damage(kind.__name__)
        return value

    return read


def _optional(kinds: tuple[Any, ...]) -> Read:
    # bytes have no document, so whatever was written for `Path | bytes` is a path; of a noun and
    # a plain kind, such as `Path | Given`, the noun is the one that is written as an object
    left = [kind for kind in kinds if kind not in (NoneType, bytes)]
    nouns = [kind for kind in left if dataclasses.is_dataclass(kind)]
    others = [kind for kind in left if kind not in nouns] if len(left) > 1 else left
    may_be_none = NoneType in kinds

    def read(value: Any) -> Any:
        if value is None and may_be_none:
            return None
        kind: Any
        (kind,) = nouns if len(left) > 1 and isinstance(value, dict) else others
        return _reader(kind)(value)

    return read


def _tuple(kinds: tuple[Any, ...]) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise _Damage("a list")
        own = (kinds[0],) * len(value) if kinds[-1] is Ellipsis else kinds
        if len(value) != len(own):
            raise _Damage(f"a list of {len(own)}")
        made = []
        for number, (kind, item) in enumerate(zip(own, value, strict=True)):
            try:
                made.append(_reader(kind)(item))
            except _Damage as damage:
                damage.steps.append(f"[{number}]")
                raise
        return tuple(made)

    return read


def _mapping(kind: Any) -> Read:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Damage("an object")
        return value if kind is Any else _each(value, lambda _: kind)

    return read


def _fields(kind: Any) -> Read:
    required = _required(kind)

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise _Damage("an object")
        hints = _hints(kind)
        unknown = value.keys() - hints.keys()
        if unknown:
            raise _Damage(f"no fields named {sorted(unknown)}")
        # a field that was added later has a default, so what was kept before it stays readable
        missing = required - value.keys()
        if missing:
            raise _Damage(f"fields named {sorted(missing)}")
        return kind(**_each(value, hints.__getitem__))

    return read


def _each(values: dict[str, Any], hint_of: Callable[[str], Any]) -> dict[str, Any]:
    made = {}
    for name, value in values.items():
        hint = hint_of(name)
        if type(value) is hint and hint in PLAIN:
            made[name] = value  # the most frequent case, without a call
            continue
        try:
            made[name] = _reader(hint)(value)
        except _Damage as damage:
            damage.steps.append(f".{name}")
            raise
    return made


def _member(kind: Any) -> Read:
    members = {member.value: member for member in kind}

    def read(value: Any) -> Any:
        try:
            return members[value]
        except (KeyError, TypeError):
            raise _Damage(f"one of {list(members)}") from None

    return read


def _time(value: Any) -> datetime:
    text = _text(value, "a time")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise _Damage("a time") from error
    if moment.tzinfo is None:
        raise _Damage("a time with its zone")
    return moment.astimezone(UTC)


def _text(value: Any, expected: str) -> str:
    if type(value) is not str:
        raise _Damage(expected)
    return value


def _number(value: Any) -> float:
    if type(value) not in (float, int):
        raise _Damage("float")
    return value  # type: ignore[no-any-return]


def _nothing(hint: Any) -> Read:
    def read(_: Any) -> Any:
        raise _Damage(hint.__name__)

    return read


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)


@cache
def _names(kind: type[Any]) -> tuple[str, ...] | None:
    """The names of a dataclass's fields; None for every other type."""
    if not dataclasses.is_dataclass(kind):
        return None
    return tuple(field.name for field in dataclasses.fields(kind))


def _required(kind: type[Any]) -> frozenset[str]:
    absent = dataclasses.MISSING
    return frozenset(
        field.name
        for field in dataclasses.fields(kind)
        if field.default is absent and field.default_factory is absent
    )
