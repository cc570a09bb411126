"""Reads the packaged facts: `models.toml`, `prices.toml` and `uses.toml`.

Invariant: what loads is whole (see `audit.py`), and it is read once in a process.
"""

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from heliograph.planning.audit import audit
from heliograph.planning.catalogue import Catalogue
from heliograph.planning.rows import CatalogueError, read
from heliograph.types import NOTHING


def load(models: str, prices: str) -> Catalogue:
    """A catalogue from the text of its two files.

    Raises:
        CatalogueError: the files contradict their schema or themselves.
    """
    facts, priced = parse(models, "models.toml"), parse(prices, "prices.toml")
    entries = facts.pop("models", NOTHING)
    table = {**facts, "models": {i: _entry(i, row, entries) for i, row in entries.items()}}
    whole = {**table, "prices": priced.pop("price", [])}
    if priced:
        raise CatalogueError(f"prices.toml has unknown keys: {', '.join(priced)}")
    loaded = read(Catalogue, whole, "catalogue")
    audit(loaded)
    return loaded


def parse(text: str, name: str) -> dict[str, Any]:
    """TOML text as a table; CatalogueError with the file's name when it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as cause:
        raise CatalogueError(f"{name}: {cause}") from cause


def _entry(model: str, row: object, entries: Mapping[str, Any]) -> dict[str, Any]:
    """A model's table with its id, and with the abilities of the model it is the same as."""
    if not isinstance(row, dict):
        raise CatalogueError(f"models.{model} must be a table")
    entry = {**row, "id": model}
    same_as = entry.pop("same_as", None)
    if same_as is None:
        return entry
    if same_as not in entries:
        raise CatalogueError(f"models.{model}.same_as names {same_as!r}, which is unknown")
    original = entries[same_as]
    return {"can": original.get("can"), "tokens": original.get("tokens"), **entry}


@cache
def catalogue() -> Catalogue:
    """The packaged catalogue, read once."""
    folder = files("heliograph.planning")
    return load(
        folder.joinpath("models.toml").read_text(encoding="utf-8"),
        folder.joinpath("prices.toml").read_text(encoding="utf-8"),
    )
