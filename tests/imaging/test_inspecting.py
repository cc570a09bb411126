"""Whole decoding finds every cut, even behind a forged end, and every flipped bit of a PNG."""

import random
import struct
from pathlib import Path

import pytest
from tests.imaging.pictures import chunk, encoded, natural, png_header, saved, scan_start

from heliograph.errors import StorageError
from heliograph.imaging.inspecting import inspect
from heliograph.types import Pixels

JPEGS = {
    "4:4:4": {"quality": 92, "subsampling": 0},
    "4:2:0": {"quality": 85, "subsampling": 2},
    "progressive": {"quality": 90, "progressive": True},
    "restarts": {"quality": 90, "restart_marker_blocks": 7},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_every_cut_jpeg_is_found_with_and_without_a_forged_end(
    options: dict[str, int], tmp_path: Path
) -> None:
    rng = random.Random(9)
    data = encoded(natural(640, 480), "jpeg", **options)
    assert inspect(saved(tmp_path / "whole", data)).intact
    last = len(data) - 3  # cuts of the last byte but the padding bits are the hardest
    cuts = [rng.randrange(scan_start(data), last) for _ in range(60)] + [last, last - 1, last - 20]
    for at in cuts:
        for forged in (b"", b"\xff\xd9"):
            found = inspect(saved(tmp_path / "cut", data[:at] + forged))
            assert not found.intact, (at, forged)
            assert found.defect


@pytest.mark.parametrize(("width", "height"), [(1, 1), (5, 5), (7, 300), (640, 481), (17, 33)])
@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_intact_pictures_of_any_size_pass(
    width: int, height: int, kind: str, tmp_path: Path
) -> None:
    found = inspect(saved(tmp_path / "a", encoded(natural(width, height), kind)))
    assert found.defect is None
    assert found.intact
    assert found.pixels == Pixels(width, height)
    assert found.pages == 1


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_intact_jpegs_of_any_kind_pass(mode: str, tmp_path: Path) -> None:
    for options in ({}, {"progressive": True}, {"restart_marker_blocks": 3}, {"quality": 100}):
        data = encoded(natural(333, 222, mode=mode), "jpeg", **options)
        assert inspect(saved(tmp_path / "a", data + b"a tail is not damage")).intact


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_intact_pngs_of_any_kind_pass(mode: str, tmp_path: Path) -> None:
    picture = natural(99, 50, mode="L" if mode == "I;16" else mode)
    data = encoded(picture.convert("I;16") if mode == "I;16" else picture, "png")
    assert inspect(saved(tmp_path / "a", data)).intact


def test_every_flipped_bit_of_a_png_is_found(tmp_path: Path) -> None:
    rng = random.Random(3)
    data = encoded(natural(200, 100), "png")
    for _ in range(200):
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        assert not inspect(saved(tmp_path / "flip", flipped)).intact


def test_short_picture_data_under_valid_checksums_are_found(tmp_path: Path) -> None:
    import zlib

    rows = zlib.compress(bytes((1 + 3 * 40) * 20))  # 20 of 40 rows
    data = png_header(40, 40) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    assert not inspect(saved(tmp_path / "a", data)).intact


@pytest.mark.parametrize("lossless", [True, False])
def test_every_cut_webp_is_found_even_with_its_container_mended(
    lossless: bool, tmp_path: Path
) -> None:
    rng = random.Random(2)
    data = encoded(natural(300, 200), "webp", lossless=lossless)
    for _ in range(60):
        keep = rng.randrange(40, len(data) - 40) & ~1
        mended = data[:4] + struct.pack("<I", keep - 8) + data[8:16]
        mended += struct.pack("<I", keep - 20) + data[20:keep]
        assert not inspect(saved(tmp_path / "a", data[:keep])).intact
        assert not inspect(saved(tmp_path / "b", mended)).intact


def test_frames_are_reported(tmp_path: Path) -> None:
    frames = [natural(30, 30, seed=s) for s in range(4)]
    for kind in ("png", "webp"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:])
        found = inspect(saved(tmp_path / kind, data))
        assert (found.intact, found.pages) == (True, 4)


def test_a_bad_picture_leaves_no_trace_in_the_verdict_on_the_next(tmp_path: Path) -> None:
    good = saved(tmp_path / "good", encoded(natural(64, 64), "jpeg"))
    for bad in (good.read_bytes()[:-40] + b"\xff\xd9", b"\xff\xd8\xff\xd9", b"GIF89a"):
        assert not inspect(saved(tmp_path / "bad", bad)).intact
        assert inspect(good).intact


def test_a_file_that_cannot_be_read_is_not_called_broken(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be read"):
        inspect(tmp_path / "missing.jpg")


def test_senseless_metadata_are_no_damage(tmp_path: Path) -> None:
    for kind in ("jpeg", "png", "webp"):
        junk = {"icc_profile": b"no profile" * 40, "exif": b"Exif\x00\x00junk" * 9}
        data = encoded(natural(90, 70), kind, **junk)
        assert inspect(saved(tmp_path / "a", data)).defect is None


def test_awkward_names_are_just_names(tmp_path: Path) -> None:
    data = encoded(natural(64, 64), "jpeg")
    for name in ("a[shrink=8].jpg", "b[page=9]", "-c", "d e\nf", "图.png"):
        assert inspect(saved(tmp_path / name, data)).pixels == Pixels(64, 64)
