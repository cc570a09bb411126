"""Exact pixels choose the cheapest original that covers them, and nothing is enlarged."""

import pytest

from heliograph.errors import InvalidRequest, Problem
from heliograph.planning import plan
from heliograph.types import Pixels, Plan, Request

NB21, LITE = "gemini-nano-banana-2.1", "gemini-3.1-flash-lite-image"


def planned(**wishes: object) -> Plan:
    return plan(Request(prompt="a lighthouse", **wishes))  # type: ignore[arg-type]


def problems(**wishes: object) -> tuple[Problem, ...]:
    with pytest.raises(InvalidRequest) as caught:
        planned(**wishes)
    return caught.value.problems


@pytest.mark.parametrize(
    ("pixels", "model", "size", "ratio", "original"),
    [
        # 2752x1536 is too small; 16:9 loses least: 4096/2304 is 16:9
        ("4096x2304", None, "4K", "16:9", (5504, 3072)),
        # 1376x768 is too small, 2752x1536 covers
        ("1920x1080", None, "2K", "16:9", (2752, 1536)),
        # A4: 2:3 keeps 94.9 %, 3:4 keeps 94.7 %
        ("2480x3508", None, "4K", "2:3", (3392, 5056)),
        # 1K would cover too, at the same price as 2K: the larger is taken
        ("1024x1024", None, "2K", "1:1", (2048, 2048)),
        # on 2.1 1K is cheaper than 2K
        ("1024x1024", NB21, "1K", "1:1", (1024, 1024)),
        ("1584x396", NB21, "1K", "4:1", (2064, 512)),
        ("1584x396", None, "2K", "21:9", (3168, 1344)),
        ("11712x1408", NB21, "4K", "8:1", (11712, 1408)),
        ("4096x4096", None, "4K", "1:1", (4096, 4096)),
        ("1200x630", LITE, "1K", "16:9", (1376, 768)),
        ("1x1", NB21, "1K", "1:1", (1024, 1024)),
    ],
)
def test_chosen_original(
    pixels: str, model: str | None, size: str, ratio: str, original: tuple[int, int]
) -> None:
    found = planned(pixels=pixels, model=model)
    assert (found.size, found.aspect, found.expected) == (size, ratio, Pixels(*original))
    assert str(found.exports[0].pixels) == pixels


def test_explicit_size_and_ratio_are_kept_when_they_cover() -> None:
    found = planned(pixels="1920x1080", size="4k", aspect="3:2")
    assert (found.size, found.aspect) == ("4K", "3:2")
    assert "would be enough and costs $0.1056 less an image." in " ".join(found.notes)


def test_notes_say_what_a_larger_size_would_waste() -> None:
    notes = " ".join(planned(pixels="1920x1080").notes)
    assert "4K would cost $0.1056 (79 %) more an image" in notes  # 105600 of 134400
    notes = " ".join(planned(pixels="1024x1024", model=NB21).notes)
    assert "2K would cost $0.0168 (50 %) more" in notes  # 16800 of 33600
    assert "4K would cost $0.0798 (238 %) more" in notes  # 79800 of 33600: 237.5, half up


def test_notes_say_what_the_crop_loses() -> None:
    # 4:9.? of a square: 4096x2304 keeps 2304/4096 of it
    notes = " ".join(planned(pixels="4096x2304", aspect="1:1").notes)
    assert "original of 4096x4096; 44 % of it is cropped away" in notes


@pytest.mark.parametrize(
    ("wishes", "field", "nearest"),
    [
        ({"pixels": "4096x2304", "size": "1K"}, "size", ("4K",)),
        ({"pixels": "1920x1080", "size": "1K"}, "size", ("2K", "4K")),
        ({"pixels": "5504x3072", "aspect": "1:1"}, "aspect", ("16:9",)),
        ({"pixels": "4096x2304", "size": "1K", "aspect": "1:1"}, "size", ("4K",)),
        ({"pixels": "8000x8000"}, "pixels", ("4096x4096",)),
        ({"pixels": "7680x4320"}, "pixels", ("5461x3072",)),
        ({"pixels": "999999x1"}, "pixels", ("6336x1",)),
        ({"pixels": "1025x1025", "model": LITE}, "pixels", ("1024x1024",)),
    ],
)
def test_what_does_not_cover(wishes: dict[str, str], field: str, nearest: tuple[str, ...]) -> None:
    (problem,) = problems(**wishes)
    assert (problem.field, problem.nearest) == (field, nearest)


def test_both_size_and_ratio_in_the_way() -> None:
    found = problems(pixels="5504x3072", size="2K", aspect="1:1")
    assert [(p.field, p.nearest) for p in found] == [("size", ("4K",)), ("aspect", ("16:9",))]


@pytest.mark.parametrize("pixels", ["0x100", "100", "1920", "x", "axb", "1e3x5", "-4x5", "٤x٥"])
def test_what_are_no_pixels(pixels: str) -> None:
    (problem,) = problems(pixels=pixels)
    assert (problem.field, problem.value) == ("pixels", pixels)
