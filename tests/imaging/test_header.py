"""Headers: agree with Pillow on intact files, and end in `NotAnImage` on everything else."""

import contextlib
import io
import os
import random
import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tests.effort import within
from tests.imaging.pictures import encoded, natural, png_header, saved

from heliograph.imaging import NotAnImage, ending, read_header, sniff
from heliograph.imaging.refusal import Bomb
from heliograph.imaging.structure import structure_of
from heliograph.imaging.window import Window
from heliograph.types import Header, Pixels

KINDS = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
sides = st.integers(1, 70)


def _variants() -> list[tuple[str, bytes]]:
    picture = natural(61, 37)
    clear = natural(61, 37, mode="RGBA")
    exif = Image.Exif()
    exif[274] = 6
    thumbnail = encoded(natural(16, 16), "jpeg")
    return [
        ("jpeg", encoded(picture, "jpeg")),
        ("jpeg", encoded(picture, "jpeg", progressive=True)),
        ("jpeg", encoded(picture, "jpeg", restart_marker_blocks=2)),
        ("jpeg", encoded(picture, "jpeg", exif=exif, comment=b"x" * 60_000)),
        ("jpeg", encoded(picture, "jpeg", icc_profile=thumbnail * 300)),
        ("jpeg", encoded(picture.convert("L"), "jpeg")),
        ("jpeg", encoded(picture.convert("CMYK"), "jpeg")),
        ("png", encoded(picture, "png")),
        ("png", encoded(clear, "png")),
        ("png", encoded(picture.convert("P"), "png")),
        ("png", encoded(picture.convert("1"), "png")),
        ("webp", encoded(picture, "webp", quality=70)),
        ("webp", encoded(picture, "webp", lossless=True)),
        ("webp", encoded(clear, "webp", quality=70)),
        ("webp", encoded(clear, "webp", exif=exif)),
    ]


@pytest.mark.parametrize(("kind", "data"), _variants())
def test_intact_files_agree_with_pillow_and_end_where_they_end(
    kind: str, data: bytes, tmp_path: Path
) -> None:
    theirs = Image.open(io.BytesIO(data))
    expected = Header(
        format=kind,
        media_type=f"image/{kind}",
        suffix=KINDS[kind],
        pixels=Pixels(*theirs.size),
    )
    path = saved(tmp_path / "named.txt", data)
    assert sniff(data) == read_header(path) == expected
    end = ending(path)
    assert end.complete
    assert end.trailing == 0


@given(width=sides, height=sides, kind=st.sampled_from(sorted(KINDS)), grey=st.booleans())
@settings(max_examples=60, deadline=None)
def test_any_size_agrees_with_pillow(width: int, height: int, kind: str, grey: bool) -> None:
    picture = Image.new("L" if grey else "RGB", (width, height), 77)
    assert sniff(encoded(picture, kind)).pixels == Pixels(width, height)


@pytest.mark.parametrize("seed", range(4))
def test_mutated_and_cut_files_never_do_anything_but_refuse(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    path = tmp_path / "fuzz"
    pool = [data for _, data in _variants()]
    for _ in range(500):
        data = bytearray(rng.choice(pool))
        for _ in range(rng.randrange(4)):
            at = rng.randrange(min(len(data), 200) if rng.random() < 0.8 else len(data))
            data[at] = rng.choice((0, 0xFF, 0x80, rng.randrange(256)))
        if rng.random() < 0.5:
            del data[rng.randrange(len(data)) :]
        if rng.random() < 0.2:
            at = rng.randrange(len(data) + 1)
            data[at:at] = rng.randbytes(rng.randrange(40))
        _refuses_or_answers(bytes(data), path)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_answered(data: bytes, start: bytes) -> None:
    try:
        header = sniff(start + data)
    except NotAnImage:
        return
    assert header.pixels.area > 0


def _refuses_or_answers(data: bytes, path: Path) -> None:
    with contextlib.suppress(NotAnImage):
        assert 0 < sniff(data).pixels.area <= 128_000_000
    path.write_bytes(data)
    end = ending(path)
    assert end.complete == (end.defect is None)
    assert 0 <= end.trailing <= len(data)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_cut_is_found(kind: str) -> None:
    data = encoded(natural(16, 12), kind)
    for length in range(len(data)):
        with contextlib.suppress(NotAnImage):
            assert sniff(data[:length]).pixels == Pixels(16, 12)
        with pytest.raises(NotAnImage):
            structure_of(Window.over(data[:length]))


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"GIF89a" + bytes(40), "GIF"),
        (b"<?xml version='1.0'?><svg xmlns='x'/>", "SVG"),
        (b"\xef\xbb\xbf  <svg onload=alert(1)>", "SVG"),
        (b"<!DOCTYPE html><html><script>", "HTML page"),
        (b"<?xml version='1.0'?><x/>", "XML document"),
        (b"%PDF-1.7", "PDF"),
        (b"junk\n%PDF-1.4", "PDF"),
        (b"II*\x00" + bytes(8), "TIFF"),
        (b"MM\x00*" + bytes(8), "TIFF"),
        (b"\x00\x00\x00\x18ftypheic", "HEIC"),
        (b"\x00\x00\x00\x18ftypavif", "AVIF"),
        (b"\x00\x00\x00\x18ftypmp42", "video"),
        (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a" + bytes(8), "JPEG XL"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"BM" + bytes(30), "BMP"),
        (b"\x00\x00\x01\x00\x01\x00", "ICO"),
        (b"8BPS\x00\x01", "PSD"),
        (b"SIMPLE  =                    T", "FITS"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"RIFF\x10\x00\x00\x00WAVEfmt ", "WAV sound"),
        (b'{"error": {"code": 400}}', "JSON document"),
        (b"Service unavailable\r\n", "text"),
        (b"", "empty file"),
        (b"\x01\x02\x03\x04", None),
    ],
)
def test_other_files_are_refused_by_name(start: bytes, name: str | None, tmp_path: Path) -> None:
    path = saved(tmp_path / "innocent.png", start)
    with pytest.raises(NotAnImage, match="only JPEG, PNG and WebP") as caught:
        read_header(path)
    assert caught.value.looks_like == name
    assert not ending(path).complete


def _jpeg_of(width: int, height: int) -> bytes:
    frame = struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\x01\x11\x00"
    return b"\xff\xd8\xff\xc0" + frame


def _webp_of(width: int, height: int) -> bytes:
    canvas = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes(4) + canvas
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        png_header(20_000, 20_000) + bytes(1_200_000),
        png_header(65_535, 65_535),
        png_header(1, 50_000_000),
        png_header(0, 0),
        png_header(10, 0),
        png_header(2**32 - 1, 2**32 - 1),
        _jpeg_of(65_535, 65_535),
        _jpeg_of(0, 100),
        _jpeg_of(100, 0),
        _webp_of(16_385, 10),
        _webp_of(16_000, 16_000),
    ],
)
def test_bombs_are_refused_from_the_header_cheaply(data: bytes, tmp_path: Path) -> None:
    path = saved(tmp_path / "bomb", data)
    tracemalloc.start()
    with pytest.raises(Bomb, match="its size is"):
        within(2000, lambda: read_header(path))  # below 100 when written
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # 8 kB when written


def test_limits_are_inclusive() -> None:
    assert sniff(png_header(16_384, 7_812)).pixels == Pixels(16_384, 7_812)
    assert sniff(_jpeg_of(16_384, 1)).pixels == Pixels(16_384, 1)


def test_folders_pipes_and_missing_files_are_errors_of_the_system(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "none", Path("a\x00b")):
        with pytest.raises(OSError, match=r".+"):
            read_header(path)
