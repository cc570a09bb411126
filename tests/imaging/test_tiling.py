"""Deep zoom: the geometry that viewers compute, and tiles that fit it."""

import math
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.imaging.pictures import encoded, files_in, natural, saved

from heliograph.errors import FinishError
from heliograph.imaging.deepzoom import OVERLAP, SIDE, Pyramid, box, grid
from heliograph.imaging.tiling import tiles
from heliograph.types import Pixels

SIZES = st.builds(Pixels, st.integers(1, 16_384), st.integers(1, 16_384))


@given(SIZES, st.integers(1, 1024), st.integers(0, 4))
def test_levels_as_viewers_compute_them(size: Pixels, side: int, overlap: int) -> None:
    """The formulas of OpenSeadragon's TileSource, in floating point as it has them."""
    pyramid = Pyramid(pixels=size, side=side, overlap=overlap)
    assert pyramid.last == math.ceil(math.log2(max(size.width, size.height)))
    assert pyramid.size(pyramid.last) == size
    assert pyramid.size(0) == Pixels(1, 1)
    for level in range(pyramid.last + 1):
        scale = 1 / 2 ** (pyramid.last - level)
        columns = math.ceil(scale * size.width / side)
        rows = math.ceil(scale * size.height / side)
        assert grid(pyramid.size(level), side) == (columns, rows)
        assert pyramid.has(level, columns - 1, rows - 1)
        for missing in ((columns, 0), (0, rows), (-1, 0), (0, -1)):
            assert not pyramid.has(level, *missing)
    assert not pyramid.has(-1, 0, 0)
    assert not pyramid.has(pyramid.last + 1, 0, 0)


@given(st.integers(1, 3000), st.integers(1, 600), st.integers(0, 3))
def test_tiles_cover_a_level_once(length: int, side: int, overlap: int) -> None:
    level = Pixels(length, 1)
    covered: list[int] = []
    for column in range(grid(level, side)[0]):
        part = box(level, column, 0, side=side, overlap=overlap)
        own = column * side
        assert part.left == max(0, own - overlap)
        assert part.left + part.width == min(length, own + side + overlap)
        covered += range(own, min(length, own + side))
    assert covered == list(range(length))


@given(SIZES)
def test_the_description_follows_its_schema(size: Pixels) -> None:
    text = Pyramid(pixels=size).description
    root = ET.fromstring(text)  # noqa: S314  it is our own
    space = "{http://schemas.microsoft.com/deepzoom/2008}"
    assert root.tag == f"{space}Image"
    assert root.attrib == {"Format": "webp", "Overlap": str(OVERLAP), "TileSize": str(SIDE)}
    (inner,) = root
    assert (inner.tag, inner.attrib) == (
        f"{space}Size",
        {"Width": str(size.width), "Height": str(size.height)},
    )


def test_tiles_have_the_pixels_of_their_boxes(tmp_path: Path) -> None:
    picture = saved(tmp_path / "a.png", encoded(natural(300, 170), "png"))
    pyramid = Pyramid(pixels=Pixels(300, 170), side=64, overlap=1)
    for level in range(pyramid.last + 1):
        size = pyramid.size(level)
        folder = tiles(picture, size, tmp_path, side=64, overlap=1)
        columns, rows = grid(size, 64)
        assert len(files_in(folder)) == columns * rows
        for column in range(columns):
            for row in range(rows):
                part = box(size, column, row, side=64, overlap=1)
                with Image.open(folder / f"{column}_{row}.webp") as tile:
                    assert (tile.format, tile.size) == ("WEBP", (part.width, part.height))


def test_what_cannot_be_cut_leaves_nothing(tmp_path: Path) -> None:
    whole = encoded(natural(300, 170), "jpeg")
    for bad in (whole[:-2000], b"<svg/>", b""):
        with pytest.raises(FinishError):
            tiles(saved(tmp_path / "a", bad), Pixels(300, 170), tmp_path, side=64, overlap=1)
        assert files_in(tmp_path) == ["a"]
