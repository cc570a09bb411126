"""What the two processes say to each other: one JSON object a line, each way.

    {"id": 1, "inspect": "/path"}                          → {"id": 1, "inspection": {…}}
    {"id": 2, "finish": {"original", "spec", "folder"}}    → {"id": 2, "export": {…}}
                                                    or     → {"id": 2, "error": {…}}

Invariant: only plain values cross; nothing that is read can run code.
"""

import dataclasses
import json
from pathlib import Path
from typing import Any

from heliograph.errors import FinishError, StorageError
from heliograph.ports import Inspection
from heliograph.types import Anchor, Export, ExportSpec, Pixels

READY = b"ready\n"  # what a worker says before it takes jobs


def line(message: dict[str, Any]) -> bytes:
    # ASCII escapes carry file names that are no valid text, too
    return json.dumps(message).encode("ascii") + b"\n"


def ask_inspect(path: Path) -> dict[str, Any]:
    return {"inspect": str(path.absolute())}


def ask_finish(original: Path, spec: ExportSpec, folder: Path) -> dict[str, Any]:
    fields = {f.name: getattr(spec, f.name) for f in dataclasses.fields(spec)}
    return {
        "finish": {
            "original": str(original.absolute()),
            "spec": {**fields, "pixels": _sides(spec.pixels), "anchor": spec.anchor.value},
            "folder": str(folder.absolute()),
        }
    }


def read_finish(message: dict[str, Any]) -> tuple[Path, ExportSpec, Path]:
    """The original, the specification and the folder of a finish job."""
    fields = dict(message["spec"])
    fields["pixels"] = _pixels(fields["pixels"])
    fields["anchor"] = Anchor(fields["anchor"])
    return Path(message["original"]), ExportSpec(**fields), Path(message["folder"])


def tell_inspection(found: Inspection) -> dict[str, Any]:
    return {"inspection": {**vars(found), "pixels": _sides(found.pixels)}}


def tell_export(made: Export) -> dict[str, Any]:
    return {"export": {**vars(made), "pixels": _sides(made.pixels), "path": str(made.path)}}


def tell_error(error: StorageError) -> dict[str, Any]:
    return {
        "error": {
            "finish": isinstance(error, FinishError),
            "what": error.what,
            "why": error.why,
            "remedy": error.remedy,
            "facts": error.facts,
        }
    }


def read_inspection(answer: dict[str, Any]) -> Inspection:
    """Raises StorageError when that is the answer."""
    _raise_error(answer)
    found = dict(answer["inspection"])
    return Inspection(**{**found, "pixels": _pixels(found["pixels"])})


def read_export(answer: dict[str, Any]) -> Export:
    """Raises FinishError or StorageError when that is the answer."""
    _raise_error(answer)
    made = dict(answer["export"])
    return Export(**{**made, "pixels": Pixels(*made["pixels"]), "path": Path(made["path"])})


def _raise_error(answer: dict[str, Any]) -> None:
    if "error" in answer:
        told = dict(answer["error"])
        kind = FinishError if told.pop("finish") else StorageError
        raise kind(told.pop("what"), **told)


def _sides(pixels: Pixels | None) -> list[int] | None:
    return [pixels.width, pixels.height] if pixels else None


def _pixels(sides: list[int] | None) -> Pixels | None:
    return Pixels(*sides) if sides else None
