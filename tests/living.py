"""Looking through a folder in which a gateway or another process goes on working.

Invariant: what vanishes while it is looked at is left out; `Path.rglob` fails on it (Python 3.11).
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def files_in(folder: Path) -> list[Path]:
    """All files below a folder that are there at this moment."""
    found = (Path(place, name) for place, _, names in os.walk(folder) for name in names)
    return [path for path in found if path.is_file()]


def read_all(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """All files below a folder, with what stands in them."""
    for path in files_in(folder):
        with suppress(FileNotFoundError):
            yield path, path.read_bytes()


def weight_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in files_in(folder):
        with suppress(FileNotFoundError):
            total += path.stat().st_size
    return total
