"""Encode a picture in the ordered format, within its byte budget when it has one.

Invariant: with a budget the result fits it, and no higher quality that was tried fits too.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from heliograph.errors import FinishError
from heliograph.imaging.steps.order import Order

FLOOR = 20  # below this quality a picture is not worth its bytes
# ICC always; EXIF, XMP, IPTC for the caller's own exports. A gain map would not match a crop.
_KEEP_ICC, _KEEP_OWN = 8, 1 | 2 | 4 | 8 | 16


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """How one format is written."""

    suffix: str
    save: str  # libvips operation
    options: Mapping[str, Any]
    quality: int | None = None  # the usual one; None where the format is lossless


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """A finished file's bytes."""

    data: bytes
    quality: int | None


ENCODINGS = {
    "jpeg": Encoding(
        suffix=".jpg", save="jpegsave_buffer", options={"optimize_coding": True}, quality=92
    ),
    # lower efforts overflow a table of the format in large noisy pictures
    "webp": Encoding(suffix=".webp", save="webpsave_buffer", options={"effort": 4}, quality=90),
    # on one noisy 4096² picture effort 4 took 86 s of CPU, effort 1 took 4 s, 1 % apart in size
    "avif": Encoding(
        suffix=".avif",
        save="heifsave_buffer",
        options={"compression": "av1", "effort": 1},
        quality=75,
    ),
    "png": Encoding(suffix=".png", save="pngsave_buffer", options={"compression": 6}),
    "tiff": Encoding(
        suffix=".tiff",
        save="tiffsave_buffer",
        options={"compression": "deflate", "predictor": "horizontal", "resunit": "inch"},
    ),
}


def encode(picture: Any, order: Order) -> Encoded:
    """The bytes of the finished file.

    Raises:
        FinishError: they do not fit the budget at any sensible quality.
        pyvips.Error: the picture does not decode or encode.
    """
    encoding = ENCODINGS[order.format]
    budget = order.spec.max_bytes
    if budget is not None:
        picture = picture.copy_memory()  # it is encoded several times
    save = _saver(picture, encoding, keep=_KEEP_ICC if order.shared else _KEEP_OWN)
    if encoding.quality is None:
        data = save(None)
        if budget is not None and len(data) > budget:
            raise _too_large(len(data), budget, f"{order.format} has no quality to lower")
        return Encoded(data=data, quality=None)
    top = order.spec.quality or encoding.quality
    data = save(top)
    if budget is None or len(data) <= budget:
        return Encoded(data=data, quality=top)
    return _search(save, budget, floor=min(FLOOR, top), top=top)


def _search(save: Callable[[int], bytes], budget: int, *, floor: int, top: int) -> Encoded:
    """The highest quality from `floor` up to below `top` that fits."""
    best = Encoded(data=save(floor), quality=floor)
    if len(best.data) > budget:
        raise _too_large(len(best.data), budget, f"that is at quality {floor}, the lowest tried")
    low, high = floor, top
    while high - low > 1:
        middle = (low + high) // 2
        data = save(middle)
        if len(data) <= budget:
            low, best = middle, Encoded(data=data, quality=middle)
        else:
            high = middle
    return best


def _saver(picture: Any, encoding: Encoding, *, keep: int) -> Callable[[int | None], bytes]:
    def save(quality: int | None) -> bytes:
        options = dict(encoding.options, keep=keep)
        if quality is not None:
            options["Q"] = quality
        return bytes(getattr(picture, encoding.save)(**options))

    return save


def _too_large(reached: int, budget: int, why: str) -> FinishError:
    return FinishError(
        f"The file cannot be made as small as {budget} bytes.",
        why=f"It has {reached} bytes; {why}.",
        remedy=f"Allow at least {reached} bytes, ask for fewer pixels, or choose a format that "
        "packs tighter (webp, avif).",
        facts={"reached": reached, "max_bytes": budget},
    )
