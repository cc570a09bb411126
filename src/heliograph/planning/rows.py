"""Reads TOML tables into frozen dataclasses: the dataclass is the schema of the file.

Invariant: a table that loads has every field its dataclass names, each of exactly the declared
type (so no float and no bool ever stands where an integer is meant), and nothing else.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from datetime import date
from types import MappingProxyType, UnionType
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from heliograph.types import Pixels

T = TypeVar("T")


class CatalogueError(ValueError):
    """A packaged facts file contradicts itself or its schema."""


@dataclass(frozen=True, kw_only=True)
class Fact:
    """A row that says where it comes from."""

    source: str
    checked: date
    confidence: Literal["H", "M", "L"]  # official · mirrors or several reports · one, or derived


def read(shape: type[T], table: object, where: str) -> T:
    """Build a `shape` from one TOML table.

    Raises:
        CatalogueError: an unknown key, a missing one, or a value of another type.
    """
    if not isinstance(table, dict):
        raise CatalogueError(f"{where} must be a table")
    if not is_dataclass(shape):
        raise TypeError(f"{shape} is no dataclass")
    hints = get_type_hints(shape)
    unknown = sorted(table.keys() - hints.keys())
    if unknown:
        raise CatalogueError(f"{where} has unknown keys: {', '.join(unknown)}")
    values: dict[str, Any] = {}
    for entry in fields(shape):
        if entry.name in table:
            values[entry.name] = _value(
                hints[entry.name], table[entry.name], f"{where}.{entry.name}"
            )
        elif entry.default is MISSING and entry.default_factory is MISSING:
            raise CatalogueError(f"{where} lacks {entry.name}")
    return shape(**values)


def _value(kind: Any, raw: object, where: str) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin is UnionType:  # X | None: an absent key is None, so a present one is an X
        return _value(inner[0], raw, where)
    if origin is Literal and raw in inner:
        return raw
    if origin is tuple and isinstance(raw, list):
        return tuple(_value(inner[0], item, f"{where}[{i}]") for i, item in enumerate(raw))
    if origin is Mapping and isinstance(raw, dict):
        return MappingProxyType({k: _value(inner[1], v, f"{where}.{k}") for k, v in raw.items()})
    if kind is Pixels:
        return _pixels(raw, where)
    if is_dataclass(kind) and isinstance(kind, type):
        return read(kind, raw, where)
    if kind in (str, int, float, bool, date) and type(raw) is kind:
        return raw
    name = getattr(kind, "__name__", str(kind))
    raise CatalogueError(f"{where} = {raw!r} is not what is meant here ({name})")


def _pixels(raw: object, where: str) -> Pixels:
    if isinstance(raw, list) and len(raw) == 2 and all(type(n) is int and n > 0 for n in raw):
        return Pixels(*raw)
    raise CatalogueError(f"{where} = {raw!r} is no [width, height]")
