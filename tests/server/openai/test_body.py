"""Documents with pictures in them: equal to the plain encoding, of known length."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.server.openai.body import PIECE, Inline, Marks


async def sent(body: object) -> bytes:
    from heliograph.server.openai.body import Body

    assert isinstance(body, Body)
    whole = b"".join([chunk async for chunk in body.chunks()])
    assert len(whole) == body.length
    return whole


def inline(folder: Path, data: bytes) -> Inline:
    path = folder / f"{len(list(folder.iterdir()))}.jpg"
    path.write_bytes(data)
    return Inline(path=path, size=len(data))


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 5])
async def test_a_picture_is_its_base64(tmp_path: Path, size: int) -> None:
    data = bytes(n % 251 for n in range(size))
    marks = Marks()
    whole = await sent(
        marks.body(
            {
                "a": marks.picture(inline(tmp_path, data)),
                "b": "ü\u2028",
                "n": marks.number("0.134400"),
            }
        )
    )
    assert json.loads(whole) == {"a": base64.b64encode(data).decode(), "b": "ü\u2028", "n": 0.1344}
    assert b'"n":0.134400' in whole
    assert "\u2028".encode() not in whole


async def test_several_pictures_within_text(tmp_path: Path) -> None:
    marks = Marks()
    pictures = [inline(tmp_path, data) for data in (b"one", b"two")]
    text = " ".join(f"![image](data:image/png;base64,{marks.picture(p)})" for p in pictures)
    whole = await sent(marks.body({"content": text}, before="data: ", after="\n\n"))
    assert whole == (
        b'data: {"content":"![image](data:image/png;base64,b25l) '
        b'![image](data:image/png;base64,dHdv)"}\n\n'
    )


async def test_a_file_that_changed_breaks_the_answer(tmp_path: Path) -> None:
    marks = Marks()
    picture = inline(tmp_path, b"whole picture")
    body = marks.body({"a": marks.picture(picture)})
    inline(tmp_path, b"half").path.rename(picture.path)
    with pytest.raises(OSError, match="changed"):
        await sent(body)


@given(st.text(max_size=60))
async def test_no_text_can_pretend_to_be_a_picture(text: str) -> None:
    marks = Marks()
    whole = await sent(marks.body({"t": f"<{text}i0><{text}n0>"}))
    assert json.loads(whole)["t"] == f"<{text}i0><{text}n0>"
