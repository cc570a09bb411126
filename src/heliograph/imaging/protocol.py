"""What the two processes say to each other: one JSON object a line, each way.

    {"id": 1, "inspect": "/path"}                          → {"id": 1, "inspection": {…}}
    {"id": 2, "finish": {"original", "spec", "folder"}}    → {"id": 2, "export": {…}}
    {"id": 3, "mark" | "blend" | "fit" | "sheet" | "tiles": {…}}   → {"id": 3, "path": "/path"}
                                                    or     → {"id": 3, "error": {…}}

Invariant: only plain values cross; nothing that is read can run code.
"""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from heliograph.errors import FinishError, InvalidRequest, Problem, StorageError
from heliograph.ports import AreaShape, Cell, Inspection
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


def ask_mark(picture: Path, area: AreaShape, folder: Path) -> dict[str, Any]:
    return {"mark": {"picture": _place(picture), "area": _area(area), "folder": _place(folder)}}


def read_mark(message: dict[str, Any]) -> tuple[Path, AreaShape, Path]:
    """The picture, the area and the folder of a mark job."""
    return Path(message["picture"]), _read_area(message["area"]), Path(message["folder"])


def ask_blend(parent: Path, change: Path, area: AreaShape, folder: Path) -> dict[str, Any]:
    return {
        "blend": {
            "parent": _place(parent),
            "change": _place(change),
            "area": _area(area),
            "folder": _place(folder),
        }
    }


def read_blend(message: dict[str, Any]) -> tuple[Path, Path, AreaShape, Path]:
    """The parent, the change, the area and the folder of a blend job."""
    area = _read_area(message["area"])
    return Path(message["parent"]), Path(message["change"]), area, Path(message["folder"])


def ask_fit(picture: Path, limits: dict[str, int], folder: Path) -> dict[str, Any]:
    return {"fit": {"picture": _place(picture), "limits": limits, "folder": _place(folder)}}


def read_fit(message: dict[str, Any]) -> tuple[Path, dict[str, int], Path]:
    """The picture, the limits by name and the folder of a fit job."""
    return Path(message["picture"]), dict(message["limits"]), Path(message["folder"])


def ask_sheet(cells: Sequence[Cell], folder: Path, *, columns: int, title: str) -> dict[str, Any]:
    told = [
        {
            "picture": _place(cell.picture) if cell.picture else None,
            "lines": list(cell.lines),
            "badge": cell.badge,
        }
        for cell in cells
    ]
    return {"sheet": {"cells": told, "folder": _place(folder), "columns": columns, "title": title}}


def read_sheet(message: dict[str, Any]) -> tuple[tuple[Cell, ...], Path, int, str]:
    """The cells, the folder, the columns and the title of a sheet job."""
    cells = tuple(
        Cell(
            picture=Path(told["picture"]) if told["picture"] else None,
            lines=tuple(told["lines"]),
            badge=told["badge"],
        )
        for told in message["cells"]
    )
    return cells, Path(message["folder"]), message["columns"], message["title"]


def ask_tiles(
    picture: Path, pixels: Pixels, folder: Path, *, side: int, overlap: int
) -> dict[str, Any]:
    return {
        "tiles": {
            "picture": _place(picture),
            "pixels": _sides(pixels),
            "folder": _place(folder),
            "side": side,
            "overlap": overlap,
        }
    }


def read_tiles(message: dict[str, Any]) -> tuple[Path, Pixels, Path, int, int]:
    """The picture, the pixels, the folder, the side and the overlap of a tiles job."""
    return (
        Path(message["picture"]),
        Pixels(*message["pixels"]),
        Path(message["folder"]),
        message["side"],
        message["overlap"],
    )


def tell_path(made: Path) -> dict[str, Any]:
    return {"path": str(made)}


def read_path(answer: dict[str, Any]) -> Path:
    """Raises InvalidRequest, FinishError or StorageError when that is the answer."""
    _raise_error(answer)
    return Path(answer["path"])


def tell_inspection(found: Inspection) -> dict[str, Any]:
    return {"inspection": {**vars(found), "pixels": _sides(found.pixels)}}


def tell_export(made: Export) -> dict[str, Any]:
    return {"export": {**vars(made), "pixels": _sides(made.pixels), "path": str(made.path)}}


def tell_problems(error: InvalidRequest) -> dict[str, Any]:
    problems = [dataclasses.asdict(problem) for problem in error.problems]
    return {"error": {"problems": problems, "remedy": error.remedy}}


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
        if "problems" in told:
            problems = [Problem(**{**p, "nearest": tuple(p["nearest"])}) for p in told["problems"]]
            raise InvalidRequest(problems, remedy=told["remedy"])
        kind = FinishError if told.pop("finish") else StorageError
        raise kind(told.pop("what"), **told)


def _place(path: Path) -> str:
    return str(path.absolute())


def _area(area: AreaShape) -> dict[str, Any]:
    return {
        "region": list(area.region) if area.region else None,
        "mask": _place(area.mask) if area.mask else None,
        "feather": area.feather,
        "protect": area.protect,
        "strict": area.strict,
    }


def _read_area(told: dict[str, Any]) -> AreaShape:
    left, top, width, height = told["region"] or (0, 0, 0, 0)
    return AreaShape(
        region=(left, top, width, height) if told["region"] else None,
        mask=Path(told["mask"]) if told["mask"] else None,
        feather=told["feather"],
        protect=told["protect"],
        strict=told["strict"],
    )


def _sides(pixels: Pixels | None) -> list[int] | None:
    return [pixels.width, pixels.height] if pixels else None


def _pixels(sides: list[int] | None) -> Pixels | None:
    return Pixels(*sides) if sides else None
