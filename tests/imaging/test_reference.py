"""References: every rule, all problems at once, and no path in any message."""

import hashlib
from pathlib import Path

import pytest
from tests.imaging.pictures import encoded, natural, png_header, png_with, saved

from heliograph.errors import InvalidRequest
from heliograph.imaging import check_references
from heliograph.types import Pixels

PICTURE = natural(60, 40)


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
def test_files_and_bytes_are_described(kind: str, tmp_path: Path) -> None:
    data = encoded(PICTURE, kind)
    path = saved(tmp_path / "product photo.bin", data)
    for reference in check_references([path, data]):
        assert reference.media_type == f"image/{kind}"
        assert reference.pixels == Pixels(60, 40)
        assert reference.size == len(data)
        assert reference.sha256 == hashlib.sha256(data).hexdigest()
    assert [r.name for r in check_references([path, data])] == ["product photo.bin", "picture 2"]


def test_none_are_fine_and_so_is_a_tail() -> None:
    assert check_references([]) == ()
    assert check_references([encoded(PICTURE, "jpeg") + b"gain map"])


def test_all_problems_come_together_and_name_no_folder(tmp_path: Path) -> None:
    frames = {"save_all": True, "append_images": [natural(60, 40, seed=2)]}
    plain = encoded(PICTURE, "png")
    bad: dict[str, bytes | Path] = {
        "is animated (2 frames)": encoded(PICTURE, "webp", **frames),
        "is animated (2 frame": encoded(PICTURE, "png", **frames),
        "looks like GIF": encoded(PICTURE, "gif"),
        "looks like SVG": saved(tmp_path / "logo.png", b"<svg/>"),
        "20000001 bytes": encoded(PICTURE, "jpeg").ljust(20_000_001, b"\0"),
        "at most 64 megapixels": png_header(16_000, 4_001),
        "above the safe limit": png_header(16_385, 10),
        "metadata": png_with(plain, b"tEXt", bytes(1_100_000)),
        "ends inside its picture data": encoded(PICTURE, "jpeg")[:-300],
        "checksum": plain[:60] + bytes([plain[60] ^ 1]) + plain[61:],
        "no such file": tmp_path / "missing.png",
        "not a regular file": tmp_path,
        "not a possible file name": Path("nul\x00.png"),
    }
    with pytest.raises(InvalidRequest) as caught:
        check_references([plain, *bad.values()])
    problems = caught.value.problems
    assert [p.field for p in problems] == [f"references[{i + 1}]" for i in range(len(bad))]
    for problem, words in zip(problems, bad, strict=True):
        assert words in problem.message
    assert str(tmp_path.parent) not in str(caught.value)
    assert "nul?.png" in str(caught.value)
