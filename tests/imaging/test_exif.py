"""Which way up: the header alone says what the decoder does, whatever EXIF holds."""

import contextlib
import random
import struct
from pathlib import Path
from typing import Any

import pytest
import pyvips
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.effort import within
from tests.imaging.pictures import chunk, encoded, natural, saved

from heliograph.imaging import NotAnImage, upright_pixels
from heliograph.imaging.exif import orientation
from heliograph.imaging.opening import open_upright
from heliograph.types import Pixels

Entry = tuple[int, int, int, bytes]  # tag, format, how many values, the value field
INTRO = b"Exif\x00\x00"
PLAIN = {kind: encoded(natural(40, 30), kind) for kind in ("jpeg", "png", "webp")}


def tiff(*entries: Entry, order: str = "<", first: int = 8, tail: bytes = b"") -> bytes:
    head = b"II*\x00" if order == "<" else b"MM\x00*"
    body = b"".join(struct.pack(f"{order}HHI", *e[:3]) + e[3] for e in entries)
    directory = struct.pack(f"{order}H", len(entries)) + body + bytes(4)
    return head + struct.pack(f"{order}I", first) + bytes(first - 8) + directory + tail


def turned(value: int, order: str = "<") -> Entry:
    return (0x0112, 3, 1, struct.pack(f"{order}H", value) + bytes(2))


def jpeg(*segments: bytes) -> bytes:
    parts = [b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments]
    return PLAIN["jpeg"][:2] + b"".join(parts) + PLAIN["jpeg"][2:]


def png(exif: bytes) -> bytes:
    return PLAIN["png"][:33] + chunk(b"eXIf", exif) + PLAIN["png"][33:]


def webp(exif: bytes, flag: int = 8) -> bytes:
    canvas = (39).to_bytes(3, "little") + (29).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([flag, 0, 0, 0]) + canvas
    body += PLAIN["webp"][12:] + b"EXIF" + struct.pack("<I", len(exif)) + exif
    body += bytes(len(exif) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def decoded(data: bytes, folder: Path) -> Pixels:
    picture = open_upright(saved(folder / "picture", data))
    return Pixels(picture.width, picture.height)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("value", range(10))
def test_all_three_formats_are_turned_as_they_are_decoded(
    value: int, order: str, tmp_path: Path
) -> None:
    exif = tiff(turned(value, order), order=order)
    expected = Pixels(30, 40) if value in (5, 6, 7, 8) else Pixels(40, 30)
    for data in (jpeg(INTRO + exif), png(exif), webp(exif), webp(INTRO + exif)):
        assert upright_pixels(data) == expected == decoded(data, tmp_path)
        assert upright_pixels(saved(tmp_path / "file", data)) == expected


def test_what_pillow_writes_is_read() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x0112], exif[0x0131] = "a picture", 6, "a camera"
    for kind, plain in PLAIN.items():
        assert upright_pixels(encoded(natural(40, 30), kind, exif=exif)) == Pixels(30, 40)
        assert upright_pixels(plain) == Pixels(40, 30)


def test_odd_blocks_are_read_as_the_decoder_reads_them(tmp_path: Path) -> None:
    six, one = INTRO + tiff(turned(6)), INTRO + tiff(turned(1))
    start = PLAIN["jpeg"].rindex(b"\xff\xda")
    late = PLAIN["jpeg"][:start] + jpeg(six)[2 : 6 + len(six)] + PLAIN["jpeg"][start:]
    huge = bytearray(tiff(turned(6)))
    huge[8:10] = b"\xff\xff"  # a directory of 65,535 entries, one of which is there
    end = PLAIN["png"][:-12] + chunk(b"eXIf", tiff(turned(6))) + PLAIN["png"][-12:]
    cases = [
        (jpeg(six, one), True),
        (jpeg(one, six), False),
        (jpeg(b"ExifXX" + tiff(turned(6)), six), False),
        (jpeg(b"http://ns.adobe.com/xap/1.0/\x00<x/>", six), True),
        (late, True),
        (jpeg(INTRO + bytes(huge)), True),
        (jpeg(INTRO + tiff(turned(6), first=20)), True),
        (jpeg(INTRO + tiff(turned(6))[:-6]), False),
        (jpeg(INTRO + tiff((0x0112, 3, 3, struct.pack("<I", 26)), tail=b"\6\0\1\0\1\0")), True),
        (jpeg(INTRO + tiff((0x0112, 4, 1, struct.pack("<I", 6)))), True),
        (jpeg(INTRO + tiff((0x0112, 3, 0, bytes(4)), turned(6))), True),
        (jpeg(INTRO + tiff(turned(6), turned(1))), True),
        (png(INTRO + tiff(turned(6))), False),
        (end, False),
        (webp(tiff(turned(6)), flag=0), False),
    ]
    for place, (data, on_its_side) in enumerate(cases):
        expected = Pixels(30, 40) if on_its_side else Pixels(40, 30)
        found = (upright_pixels(data), decoded(data, tmp_path))
        assert found == (expected, expected), place


@given(
    entries=st.lists(
        st.tuples(
            st.sampled_from([0x0112, 0x0112, 0x0100, 0x010E]),
            st.sampled_from([1, 3, 4, 6, 8, 9]),
            st.integers(0, 3),
            st.sampled_from([bytes([n, 0, 0, 0]) for n in range(11)] + [b"\0\0\0\6", b"\0\6\0\0"]),
        ),
        max_size=4,
    ),
    order=st.sampled_from("<>"),
)
@settings(max_examples=150, deadline=None)
def test_any_directory_of_numbers_means_to_us_what_it_means_to_the_decoder(
    entries: list[Entry], order: str
) -> None:
    exif = tiff(*entries, order=order)
    picture = pyvips.Image.jpegload_buffer(jpeg(INTRO + exif))
    known = picture.get_typeof("orientation")
    assert orientation(exif) == (picture.get("orientation") if known else 1)


@given(
    st.binary(max_size=200), st.sampled_from([b"", b"II*\x00", b"MM\x00*", b"II*\x00\x08\0\0\0"])
)
@example(b"\xff" * 40, b"II*\x00")
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_answered(data: bytes, start: bytes) -> None:
    assert orientation(start + data) in range(1, 9)


class Sliced(bytes):
    """Counts the bytes that are copied out of it, and out of the copies."""

    copied = 0

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        if isinstance(found, int):
            return found
        Sliced.copied += len(found)
        return Sliced(found)


def test_hostile_blocks_cost_little() -> None:
    """In lines for what they hold; copying the rest again for each chunk would take minutes."""
    entries, chunks = 65_535, 600_000
    full = tiff(*[(0x0100, 3, 1, bytes(4))] * entries)
    assert within(20 * entries, lambda: orientation(Sliced(full))) == 1  # 3 lines each
    assert Sliced.copied <= 10 * len(full)
    assert within(20 * entries, lambda: upright_pixels(png(full))) == Pixels(40, 30)
    crowd = PLAIN["png"][:33] + chunk(b"tEXt", b"") * chunks + PLAIN["png"][33:]
    assert within(50 * chunks, lambda: upright_pixels(crowd)) == Pixels(40, 30)  # 8 lines each


def test_damaged_files_are_answered_or_refused() -> None:
    rng = random.Random(7)
    exif = tiff(turned(6))
    for _ in range(600):
        data = bytearray(rng.choice([jpeg(INTRO + exif), png(exif), webp(exif)]))
        for _ in range(rng.randrange(1, 4)):
            data[rng.randrange(min(len(data), 120))] = rng.choice((0, 0xFF, rng.randrange(256)))
        del data[rng.randrange(len(data)) + 1 :]
        with contextlib.suppress(NotAnImage):
            assert upright_pixels(bytes(data)).area > 0
