"""Turns the finishing wishes of a request into the files to make.

Invariant: what the caller says wins over what a use brings; without any wish there is no
export, because the untouched original is the result.
"""

from heliograph.planning import nearest
from heliograph.planning.catalogue import Model
from heliograph.planning.check import whole
from heliograph.planning.findings import Findings
from heliograph.planning.uses import DPI, Purpose
from heliograph.types import ExportSpec, Finish, Pixels

LOSSY = ("jpeg", "webp", "avif")
LOSSLESS = ("png", "tiff")
PREVIEW_SIDE, THUMBNAIL_SIDE = 2048, 512
LEAST_BYTES = 1024


def check(asked: Finish, model: Model, found: Findings) -> None:
    """Every field of `asked` (already in our spelling) against what can be made."""
    kind = asked.format
    if kind is not None and kind not in LOSSY + LOSSLESS:
        close = nearest.names(kind, LOSSY + LOSSLESS)
        found.problem("format", kind, "is no format that exports are made in.", close)
    if asked.quality is not None:
        whole("quality", asked.quality, 1, 100, found)
        if (kind or model.can.output.removeprefix("image/")) in LOSSLESS:
            found.problem(
                "quality", asked.quality, f"{kind or 'the original'} is lossless and has none"
            )
    if asked.max_bytes is not None:
        whole("max_bytes", asked.max_bytes, LEAST_BYTES, 10**12, found)
        if kind in LOSSLESS:
            found.note(f"{kind} is lossless, so a byte limit can only be kept by chance.")
    if asked.dpi is not None:
        whole("dpi", asked.dpi, *DPI, found)


def exports(
    asked: Finish, pixels: Pixels | None, purpose: Purpose | None
) -> tuple[ExportSpec, ...]:
    """The files to make: the export proper first, if there is one."""
    kind, quality = asked.format, asked.quality
    max_bytes, dpi = asked.max_bytes, asked.dpi
    if purpose:
        # A quality belongs to its format, so it is taken over only together with it.
        quality = quality if quality or kind else purpose.quality
        kind = kind or purpose.format
        max_bytes, dpi = max_bytes or purpose.max_bytes, dpi or purpose.dpi
    export = ExportSpec(
        name="export",
        pixels=pixels,
        format=kind,
        quality=quality,
        max_bytes=max_bytes,
        dpi=dpi,
        anchor=asked.anchor,
        srgb=asked.srgb,
    )
    small = []
    if asked.preview:
        small.append(ExportSpec(name="preview", fit_within=PREVIEW_SIDE, format="webp"))
    if asked.thumbnail:
        small.append(ExportSpec(name="thumbnail", fit_within=THUMBNAIL_SIDE, format="webp"))
    return (*([] if export.is_copy else [export]), *small)
