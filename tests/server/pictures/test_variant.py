"""What can be asked of a picture."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest
from heliograph.server.pictures.variant import FORMATS, WIDTHS, Kind, parse, presets
from heliograph.types import Pixels

SEEN = st.builds(Pixels, st.integers(1, 9000), st.integers(1, 9000))
SIDES = st.sampled_from(WIDTHS)
NAMES = st.one_of(
    st.sampled_from(("original", "picture", "preview", "thumbnail", "extra-1", "draft-12")),
    st.sampled_from(sorted(presets())),
    SIDES.map("w{}".format),
    st.tuples(SIDES, SIDES).map(lambda s: f"{s[0]}x{s[1]}"),
)
SUFFIXES = st.sampled_from(("", ".jpg", ".jpeg", ".png", ".webp", ".avif"))


@given(NAMES, SUFFIXES, SEEN)
def test_a_copy_never_enlarges_and_is_for_sharing(name: str, suffix: str, seen: Pixels) -> None:
    variant = parse(name + suffix)
    assert variant.name == name
    if variant.is_untouched:
        return
    try:
        spec = variant.spec(seen)
    except InvalidRequest:
        assert variant.kind is Kind.EXACT
        assert variant.pixels is not None
        assert variant.pixels.width > seen.width or variant.pixels.height > seen.height
        return
    assert spec.format in FORMATS
    assert spec.fit_within is not None  # which leaves private metadata out
    if spec.pixels is not None:
        assert spec.pixels.width <= seen.width
        assert spec.pixels.height <= seen.height
    if variant.kind is Kind.WIDE and variant.width <= seen.width:
        assert (spec.pixels or seen).width == variant.width


@given(st.text(alphabet=string.printable + "é\u202e０", max_size=70))
def test_any_text_is_a_variant_or_refused(text: str) -> None:
    try:
        variant = parse(text)
    except InvalidRequest as error:
        (problem,) = error.problems
        found = (problem.field, bool(problem.nearest), all(map(parse, problem.nearest)))
    else:
        found = ("variant", text.startswith(variant.name), text.isascii() and "/" not in text)
    assert found == ("variant", True, True)


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "w0",
            "w641",
            "w99999",
            "12x13",
            "0x0",
            "1x50000000",
            "extra-0",
            "extra-100",
            "Preview",
        ),
        *(
            "preview.svg",
            "preview.jpg.webp",
            "w64\n",
            "..",
            "a" * 100,
            "original.",
            ".jpg",
            "w６４",
        ),
    ],
)
def test_what_is_no_variant(text: str) -> None:
    with pytest.raises(InvalidRequest):
        parse(text)


def test_the_set_is_finite_and_bounded() -> None:
    assert len(WIDTHS) ** 2 * len(FORMATS) < 2000
    assert all(pixels.width <= 16_384 and pixels.height <= 16_384 for pixels in presets().values())
    assert presets()["youtube-thumbnail"] == Pixels(1280, 720)
