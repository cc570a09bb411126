"""Make one finished file from an original: the steps in order.

Invariant: the original is only read; what is written has exactly the pixels that were ordered,
read back from its own header before it gets its name.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyvips

from heliograph.errors import FinishError
from heliograph.imaging.header import read_header
from heliograph.imaging.refusal import NotAnImage
from heliograph.imaging.steps.convert import convert
from heliograph.imaging.steps.crop import crop
from heliograph.imaging.steps.encode import ENCODINGS, Encoded, encode
from heliograph.imaging.steps.flatten import flatten
from heliograph.imaging.steps.load import complaint, load
from heliograph.imaging.steps.measure import measure
from heliograph.imaging.steps.order import Order, resolve
from heliograph.imaging.steps.orient import orient, orientation
from heliograph.imaging.steps.resize import resize
from heliograph.imaging.steps.stamp import stamp
from heliograph.imaging.steps.write import write
from heliograph.types import Export, ExportSpec, Header, Pixels

Step = Callable[[Any, Order], Any]

STEPS: tuple[Step, ...] = (orient, crop, resize, convert, flatten, stamp)


def finish(original: Path, spec: ExportSpec, folder: Path) -> Export:
    """Make the export `spec` of `original` as `folder`/`spec.name` with the suffix of its format.

    Raises:
        FinishError: it cannot be made as asked; the original is untouched.
    """
    try:
        header = read_header(original)
        _check_spec(spec, header.format)
        if spec.is_copy:
            data = original.read_bytes()
            return _place(Encoded(data=data, quality=None), header.format, spec, folder)
        encoded, order = render(original, header, spec)
        _check(encoded, order)
        return _place(encoded, order.format, spec, folder)
    except (NotAnImage, OSError, pyvips.Error) as error:
        raise FinishError(
            f"The {spec.name} could not be made.",
            why=" ".join(str(error).split())[:300],
            remedy="The original is safe. Check the folder and the disk, or ask for another "
            "format or size.",
        ) from error


def render(original: Path, header: Header, spec: ExportSpec) -> tuple[Encoded, Order]:
    """Run all steps in memory.

    Raises:
        FinishError: the byte budget cannot be met.
        OSError, pyvips.Error: the original cannot be read or decoded.
    """
    order = _resolve(original, header, spec)
    complaint()  # forget what earlier pictures left
    with original.open("rb") as stream:
        picture = load(stream.fileno(), header.format, shrink=_shrink(header.pixels, order))
        for step in STEPS:
            picture = step(picture, order)
        encoded = encode(picture, order)
    defect = complaint()
    if defect is not None:
        raise pyvips.Error(defect)
    return encoded, order


def _resolve(original: Path, header: Header, spec: ExportSpec) -> Order:
    with original.open("rb") as stream:
        turned = orientation(load(stream.fileno(), header.format)) >= 5
    stored = header.pixels
    upright = Pixels(stored.height, stored.width) if turned else stored
    return resolve(spec, upright, header.format)


def _check_spec(spec: ExportSpec, original_format: str) -> None:
    format_name = spec.format or original_format
    if format_name not in ENCODINGS or Path(spec.name).name != spec.name:
        raise FinishError(
            f"The export {spec.name!r} in the format {format_name!r} cannot be made.",
            remedy=f"Formats are {', '.join(ENCODINGS)}; a name is one plain word.",
        )


def _shrink(stored: Pixels, order: Order) -> int:
    """How far the JPEG decoder may shrink, leaving at least half of the way to Lanczos."""
    target = order.target
    room = min(stored.width, stored.height) / max(target.width, target.height)
    return next((factor for factor in (8, 4, 2) if room >= 2 * factor), 1)


def _check(encoded: Encoded, order: Order) -> None:
    got = measure(encoded.data, order.format)
    if got != order.target:
        raise FinishError(
            f"The {order.spec.name} came out at {got} px instead of {order.target} px.",
            why="The encoder did not do what it was told.",
            remedy="Choose another format.",
        )


def _place(encoded: Encoded, format_name: str, spec: ExportSpec, folder: Path) -> Export:
    path = write(encoded.data, folder, spec.name + ENCODINGS[format_name].suffix)
    return Export(
        name=spec.name,
        path=path,
        sha256=hashlib.sha256(encoded.data).hexdigest(),
        size=len(encoded.data),
        format=format_name,
        pixels=measure(encoded.data, format_name),
        quality=encoded.quality,
    )
