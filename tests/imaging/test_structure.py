"""The structural walk: true ends, bytes behind them, checksums, and time."""

import random
import struct
from pathlib import Path

import pytest
from PIL import Image
from tests.effort import within
from tests.imaging.pictures import chunk, encoded, natural, png_with, saved

from heliograph.imaging import NotAnImage, ending
from heliograph.imaging.structure import structure_of
from heliograph.imaging.window import Window


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize(
    "tail", [b"\x00", b"<html><script>x</script>", b"PK\x03\x04" + bytes(99), b"\xff\xd9\xff\xd9"]
)
def test_bytes_behind_the_end_are_counted(kind: str, tail: bytes, tmp_path: Path) -> None:
    data = encoded(natural(50, 40), kind)
    end = ending(saved(tmp_path / "picture", data + tail))
    assert end.complete
    assert end.trailing == len(tail)


def test_a_thumbnail_inside_metadata_is_not_the_end(tmp_path: Path) -> None:
    thumbnail = encoded(natural(16, 16), "jpeg")
    payload = b"Exif\x00\x00" + thumbnail
    segment = b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload
    data = encoded(natural(50, 40), "jpeg")
    data = data[:2] + segment + data[2:]
    assert ending(saved(tmp_path / "a", data)).complete
    cut = ending(saved(tmp_path / "b", data[:-2]))
    assert cut.defect == "it ends inside its picture data"


def test_scans_restarts_and_fill_bytes_are_passed(tmp_path: Path) -> None:
    for options in ({"progressive": True}, {"restart_marker_blocks": 1}):
        data = encoded(natural(90, 70), "jpeg", **options)
        filled = data[:-2] + b"\xff\xff\xff" + data[-2:]
        assert ending(saved(tmp_path / "a", filled)).complete
        assert not ending(saved(tmp_path / "b", data[:-2])).complete


def test_a_marker_across_two_blocks_is_found(tmp_path: Path) -> None:
    head = b"\xff\xd8\xff\xda\x00\x02"
    for scan in range(4090, 4100):
        end = ending(saved(tmp_path / "a", head + b"\xff\x00" * 30 + bytes(scan) + b"\xff\xd9"))
        assert end.complete


def test_a_flipped_bit_in_a_png_is_always_found() -> None:
    rng = random.Random(4)
    data = png_with(encoded(natural(60, 60), "png"), b"tEXt", b"Comment\x00hello")
    for _ in range(1000):
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        with pytest.raises(NotAnImage):
            structure_of(Window.over(flipped))


def test_frames_are_counted() -> None:
    frames = [natural(20, 20, seed=s) for s in range(3)]
    animated = {"save_all": True, "append_images": frames[1:]}
    for kind in ("png", "webp"):
        assert structure_of(Window.over(encoded(frames[0], kind, **animated))).frames == 3
        assert structure_of(Window.over(encoded(frames[0], kind))).frames == 1


def test_metadata_is_weighed_after_inflation_but_never_inflated_whole() -> None:
    import tracemalloc
    import zlib

    squeeze = zlib.compressobj(9)
    packed = b"".join(squeeze.compress(bytes(1 << 20)) for _ in range(256)) + squeeze.flush()
    plain = encoded(natural(20, 20), "png")
    for kind, head in (
        (b"zTXt", b"k\x00\x00"),
        (b"iTXt", b"k\x00\x01\x00\x00\x00"),
        (b"iCCP", b"k\x00\x00"),
    ):
        data = png_with(plain, kind, head + packed)
        tracemalloc.start()
        weight = structure_of(Window.over(data)).metadata
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert weight > 1 << 20
        assert peak < 8 << 20
    assert structure_of(Window.over(png_with(plain, b"tEXt", bytes(5000)))).metadata >= 5000
    assert structure_of(Window.over(png_with(plain, b"zTXt", b"k\x00\x00no"))).metadata >= 5


def test_hostile_structures_end(tmp_path: Path) -> None:
    """All in about a second; work that grows with the square of them would take minutes each."""
    start = b"\xff\xd8\xff\xda\x00\x02"
    hostile = [
        b"\xff\xd8" + b"\xff" * 3_000_000,
        start + b"\xff" * 3_000_000 + b"\xd9",
        start + b"\xff\xda\x00\x02" * 100_000 + bytes(2_000_000),
        b"\xff\xd8" + b"\xff\x01" * 1_000_000,
        b"\x89PNG\r\n\x1a\n" + chunk(b"aaaa", b"") * 1_000_000,
        b"RIFF" + struct.pack("<I", 12_000_004) + b"WEBP" + b"aaaa\x00\x00\x00\x00" * 1_500_000,
    ]
    for data in hostile:
        ending(saved(tmp_path / "hostile", data))


def test_ten_megabytes_are_not_walked_byte_by_byte(tmp_path: Path) -> None:
    rng = random.Random(1)
    scan = rng.randbytes(10_000_000).replace(b"\xff", b"\xff\x00")
    path = saved(tmp_path / "large", b"\xff\xd8\xff\xda\x00\x02" + scan + b"\xff\xd9")
    # 230 lines when written; there are 40,000 bytes of ff in it
    assert within(5000, lambda: ending(path)).complete


def test_nothing_but_a_header_is_not_complete(tmp_path: Path) -> None:
    plain = encoded(natural(20, 20), "png")
    without_data = plain[:33] + chunk(b"IEND", b"")
    assert ending(saved(tmp_path / "a", without_data)).defect == "it has no picture data"
    assert (
        ending(saved(tmp_path / "b", b"\xff\xd8\xff\xd9")).defect == "it ends without picture data"
    )
    two = encoded(Image.new("L", (8, 8)), "jpeg")
    assert not ending(saved(tmp_path / "c", two[:-2] + two)).complete
