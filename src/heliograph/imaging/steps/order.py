"""What one export shall become, with nothing left open.

Invariant: `target` is final; every later step works towards exactly these pixels.
"""

from dataclasses import dataclass

from heliograph.types import ExportSpec, Pixels


@dataclass(frozen=True, kw_only=True)
class Order:
    """An export specification, resolved against its original."""

    spec: ExportSpec
    format: str
    target: Pixels

    @property
    def shared(self) -> bool:
        """True for previews and thumbnails: seen by others, so without private metadata."""
        return self.spec.fit_within is not None


def resolve(spec: ExportSpec, upright: Pixels, original_format: str) -> Order:
    """The order for an original that measures `upright` once it is turned upright."""
    return Order(spec=spec, format=spec.format or original_format, target=_target(spec, upright))


def _target(spec: ExportSpec, upright: Pixels) -> Pixels:
    if spec.pixels is not None:
        return spec.pixels
    longest = max(upright.width, upright.height)
    if spec.fit_within is None or spec.fit_within >= longest:
        return upright
    scale = spec.fit_within / longest
    return Pixels(*(max(1, round(side * scale)) for side in (upright.width, upright.height)))
