"""Spoilt image bytes; invariant: usage and bill stay those of a good picture (it was made)."""

import dataclasses
import functools
import hashlib
import zlib
from collections.abc import Callable
from random import Random

from heliograph.emulator.faults.contract import Case, Fault, table
from heliograph.emulator.faults.layouts import drawn_otherwise, drawn_smaller
from heliograph.emulator.reply import Picture
from heliograph.emulator.scene import Scene

_BOMB_SIDE = 20_000
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>1</script></svg>'
_HTML = b"<!doctype html><title>Sign in</title><script>1</script>"


def _bitflip(picture: Picture) -> Picture:
    # A PNG, since only there a flipped bit can be proven: its chunks carry checksums.
    png = _png(picture)
    data = bytearray(png.data)
    # Somewhere in the pixels, by the picture: every call its bit, the same for the same seed.
    start, end = png.data.index(b"IDAT") + 4, png.data.rindex(b"IEND") - 8
    place = Random(hashlib.sha256(picture.data).digest()).randrange(8 * (end - start))  # noqa: S311
    data[start + place // 8] ^= 1 << place % 8
    return dataclasses.replace(png, data=bytes(data))


def _cut(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=picture.data[: len(picture.data) * 6 // 10])


def _forged_eoi(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=_cut(picture).data + b"\xff\xd9")


def _trailing(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=picture.data + b"\x00TRAILING BYTES" * 64)


def _zero(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=b"")


def _svg(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=_SVG, mime="image/png")


def _html(picture: Picture) -> Picture:
    return dataclasses.replace(picture, data=_HTML, mime="image/png")


def _png(picture: Picture) -> Picture:
    import pyvips

    image = pyvips.Image.new_from_buffer(picture.data, "")
    data = bytes(image.write_to_buffer(".png", compression=1))
    return dataclasses.replace(picture, data=data, mime="image/png")


def _animated(picture: Picture) -> Picture:
    import pyvips

    frame = pyvips.Image.thumbnail_buffer(picture.data, 256)
    frames = pyvips.Image.arrayjoin([frame, frame.invert(), frame], across=1).copy()
    frames.set_type(pyvips.GValue.gint_type, "page-height", frame.height)
    data = bytes(frames.write_to_buffer(".webp"))
    return dataclasses.replace(picture, data=data, mime="image/webp")


def _bomb(picture: Picture) -> Picture:
    return dataclasses.replace(
        picture, data=bomb_png(), mime="image/png", width=_BOMB_SIDE, height=_BOMB_SIDE
    )


@functools.cache
def bomb_png() -> bytes:
    """A valid black PNG of 20,000 by 20,000 in about 1.2 MB, without ever holding its pixels."""
    raw = _BOMB_SIDE * (1 + 3 * _BOMB_SIDE)
    block = 1 << 20
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush the packer forgets: the same megabyte of zeros packs to the same bytes.
    megabyte = packer.compress(bytes(block)) + packer.flush(zlib.Z_FULL_FLUSH)
    rest = packer.compress(bytes(raw % block)) + packer.flush(zlib.Z_FINISH)
    # Adler-32 of n zeros: the low half stays 1, the high half counts them.
    checksum = ((raw % 65521) << 16) | 1
    stream = b"\x78\xda" + megabyte * (raw // block) + rest + checksum.to_bytes(4)
    header = _BOMB_SIDE.to_bytes(4) * 2 + bytes((8, 2, 0, 0, 0))
    chunks = ((b"IHDR", header), (b"IDAT", stream), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4) + kind + data + zlib.crc32(kind + data).to_bytes(4)


_KINDS: dict[str, Callable[[Picture], Picture]] = {
    "ok": lambda picture: picture,
    "1K": lambda picture: picture,
    "wrong_ratio": lambda picture: picture,
    "bitflip": _bitflip,
    "cut": _cut,
    "forged_eoi": _forged_eoi,
    "bomb": _bomb,
    "animated": _animated,
    "trailing": _trailing,
    "svg": _svg,
    "html": _html,
    "zero": _zero,
    "png": _png,
}


def _scene(scene: Scene, case: Case) -> Scene:
    kind = case.choice("ok", *_KINDS)
    if kind == "1K":
        return drawn_smaller(scene)
    return drawn_otherwise(scene, case) if kind == "wrong_ratio" else scene


def _picture(picture: Picture, case: Case) -> Picture:
    return _KINDS[case.choice("ok", *_KINDS)](picture)


def _mime(picture: Picture, case: Case) -> Picture:
    return dataclasses.replace(picture, mime=case.arg or "image/png")


def _bad_base64(text: bytes, _: Case) -> bytes:
    middle = len(text) // 2
    return text[:middle] + b"!*~" + text[middle + 3 :]


def _cut_base64(text: bytes, case: Case) -> bytes:
    # One character more than whole groups: no padding can make that valid.
    return text[: case.whole(len(text) * 6 // 10) // 4 * 4 + 1]


def _whitespace_base64(text: bytes, _: Case) -> bytes:
    return b"\\n".join(text[at : at + 76] for at in range(0, len(text), 76))


FAULTS = table(
    Fault(
        name="image", explain=f"ARG is one of {' '.join(_KINDS)}", scene=_scene, picture=_picture
    ),
    Fault(name="mime", explain="mimeType claims ARG (image/png), bytes unchanged", picture=_mime),
    Fault(name="bad-base64", explain="characters outside the alphabet", base64=_bad_base64),
    Fault(
        name="cut-base64",
        explain="the base64 string ends after ARG characters (60 %), JSON stays whole",
        base64=_cut_base64,
    ),
    Fault(
        name="whitespace-base64",
        explain="a newline after every 76 characters",
        base64=_whitespace_base64,
    ),
)
