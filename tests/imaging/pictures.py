"""Pictures for the imaging tests, drawn with Pillow: the second opinion on everything."""

import io
import random
import struct
import zlib
from pathlib import Path
from typing import Any

from PIL import Image

QUADRANTS = {
    "top-left": (200, 30, 30),
    "top-right": (30, 200, 30),
    "bottom-left": (30, 30, 200),
    "bottom-right": (220, 220, 40),
}


def natural(width: int, height: int, *, seed: int = 1, mode: str = "RGB") -> Image.Image:
    """Soft shapes under film grain, so that files have the size and entropy of photographs."""
    rng = random.Random(seed)
    small = Image.frombytes("RGB", (12, 12), rng.randbytes(12 * 12 * 3))
    soft = small.resize((width, height), Image.Resampling.BICUBIC)
    grain = Image.effect_noise((width, height), 24).convert("RGB")
    return Image.blend(soft, grain, 0.25).convert(mode)


def quadrants(width: int, height: int) -> Image.Image:
    """Four plain colours, to see which part a crop kept."""
    picture = Image.new("RGB", (width, height))
    half_w, half_h = width // 2, height // 2
    for name, colour in QUADRANTS.items():
        left = half_w if "right" in name else 0
        top = half_h if "bottom" in name else 0
        picture.paste(colour, (left, top, left + width - half_w, top + height - half_h))
    return picture


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def saved(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def bytes_of(path: Path) -> bytes:
    return path.read_bytes()


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_header(width: int, height: int) -> bytes:
    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body)


def png_with(data: bytes, kind: bytes, payload: bytes) -> bytes:
    """A PNG with one more chunk right behind its header."""
    return data[:33] + chunk(kind, payload) + data[33:]


def scan_start(jpeg: bytes) -> int:
    """Where the entropy data of a baseline JPEG begin."""
    marker = jpeg.rindex(b"\xff\xda")
    return marker + 2 + int.from_bytes(jpeg[marker + 2 : marker + 4], "big")
