"""From plate to JPEG: full size, film grain, metadata.

Invariant: the bytes are a baseline JPEG of exactly the size ordered.
"""

from pyvips import Image

from heliograph.emulator.painting.field import double, noise

_QUALITY = 96
_GRAIN = 4.2
_TILE = 512


def to_size(plate: Image, width: int, height: int) -> Image:
    """The plate at the size ordered: itself, or doubled with its edges kept."""
    if plate.width == width and plate.height == height:
        return plate
    return double(plate, crisp=True).crop(0, 0, width, height)


def grain(image: Image, seed: int, amount: float = _GRAIN) -> Image:
    """Film grain; it also hides the steps of 8-bit gradients."""
    tile = (noise(_TILE, _TILE, seed) * amount).rint().cast("char").copy_memory()
    across, down = -(-image.width // _TILE), -(-image.height // _TILE)
    sheet = tile.replicate(across, down).crop(0, 0, image.width, image.height)
    return (image + sheet).cast("uchar").copy(interpretation="srgb")


def encode(image: Image, quality: int = _QUALITY) -> bytes:
    """JPEG bytes."""
    data: bytes = image.jpegsave_buffer(Q=quality, subsample_mode="on", keep="none")
    return data
