"""Which of the given pictures is edited when one of them only shows an area."""

import io

import pytest
from PIL import Image, ImageDraw

from heliograph.emulator.painting.edit import source_of


def picture(colour: tuple[int, int, int], area: tuple[int, int, int, int] | None = None) -> bytes:
    image = Image.new("RGB", (640, 400), colour)
    if area is not None:
        ImageDraw.Draw(image).rectangle(area, outline=(255, 0, 255), width=4)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


PLAIN, OTHER = picture((40, 90, 60)), picture((200, 180, 40))


@pytest.mark.parametrize("area", [(10, 10, 90, 60), (0, 0, 639, 399)])
def test_a_picture_that_shows_an_area_is_not_the_one_that_is_edited(
    area: tuple[int, int, int, int],
) -> None:
    shown = picture((40, 90, 60), area)
    assert source_of([PLAIN, shown]) == PLAIN
    assert source_of([OTHER, PLAIN, shown]) == PLAIN
    assert source_of([shown, PLAIN]) == PLAIN


def test_else_the_last_one_is() -> None:
    assert source_of([PLAIN, OTHER]) == OTHER
    shown = picture((40, 90, 60), (10, 10, 90, 60))
    assert source_of([shown]) == shown
    assert source_of([PLAIN, b"no picture"]) == b"no picture"
    assert source_of([PLAIN, picture((230, 60, 140))]) == picture((230, 60, 140))
