"""Forms: what the SDK sends, and what nobody should (S51, S52, S58)."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.server.counting import lines_of

from heliograph.errors import HeliographError, InvalidRequest
from heliograph.server.faults import TooLarge, verdict
from heliograph.server.openai.inline import MOST_BYTES
from heliograph.server.openai.multipart import MOST_PARTS, Form, boundary_of, read_form

B = b"xyz"


def held(path: Path) -> bytes:
    return path.read_bytes()


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def written(folder: Path) -> list[int]:
    """Bytes of each file in a folder."""
    return [path.stat().st_size for path in folder.iterdir()]


def part(name: str, data: bytes, *more: str, file: str | None = None) -> bytes:
    disposition = f'form-data; name="{name}"' + (f'; filename="{file}"' if file is not None else "")
    lines = [f"Content-Disposition: {disposition}", *more]
    return b"--" + B + b"\r\n" + "\r\n".join(lines).encode() + b"\r\n\r\n" + data + b"\r\n"


END = b"--" + B + b"--\r\n"


async def read(folder: Path, body: bytes, *, piece: int = 1 << 16, limit: int = 150 << 20) -> Form:
    count = iter(range(1000))

    async def stream() -> AsyncIterator[bytes]:
        for start in range(0, len(body), piece):
            yield body[start : start + piece]

    return await read_form(
        stream(),
        B,
        files=("image", "mask"),
        new_file=lambda: folder / f"part-{next(count)}",
        limit=limit,
    )


@pytest.mark.parametrize("piece", [1, 7, 1 << 16])
async def test_text_and_files(tmp_path: Path, piece: int) -> None:
    body = (
        part("prompt", "夜".encode())
        + part("image[]", b"one\r\n--xy", file="a.png")
        + part("image[]", b"two", "Content-Type: image/png", file="b.png")
        + part("mask", b"", file="m.png")
        + part("heliograph[strict]", b"true")
        + part("heliograph[tags][]", b"a")
        + part("heliograph[tags][]", b"b")
        + END
    )
    form = await read(tmp_path, body, piece=piece)
    assert form.values == {"prompt": "夜", "heliograph": {"strict": "true", "tags": ["a", "b"]}}
    assert [held(path) for path in form.files["image"]] == [b"one\r\n--xy", b"two"]
    assert held(form.files["mask"][0]) == b""


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "C:\\\\x",
        "a\\0b",
        "CON",
        "x" * 900,
        "\u202egnp.exe",
        "a;b=c",
    ],
)
async def test_the_client_s_file_names_are_no_paths(tmp_path: Path, name: str) -> None:
    folder = made(tmp_path / "in")
    form = await read(folder, part("image", b"x", file=name) + END)
    assert form.files["image"] == [folder / "part-0"]
    assert len(written(tmp_path)) == 1


REFUSED: dict[str, bytes] = {
    "no end": part("prompt", b"x"),
    "nothing": b"",
    "another boundary": b"--other\r\n\r\n--other--\r\n",
    "no name": b"--xyz\r\nContent-Disposition: form-data\r\n\r\nx\r\n" + END,
    "no disposition": b"--xyz\r\nA: b\r\n\r\nx\r\n" + END,
    "twice": part("prompt", b"x") + part("prompt", b"y") + END,
    "list and text": part("a[]", b"x") + part("a", b"y") + END,
    "text and object": part("a", b"x") + part("a[b]", b"y") + END,
    "deep": part("a[b][c][d][e][f][g]", b"x") + END,
    "list within": part("a[][b]", b"x") + END,
    "odd name": part("a b\\", b"x") + END,
    "no UTF-8": part("prompt", b"\xff") + END,
    "a file where none is": part("prompt", b"x", file="a.txt") + END,
    "base64": part("image", b"eA==", "Content-Transfer-Encoding: base64", file="a") + END,
    "parts": part("a[]", b"x") * 10_000 + END,
    "headers": part("image", b"x", *[f"X-{n}: y" for n in range(10_000)], file="a") + END,
    "a long header": part("image", b"x", "X-A: " + "y" * 100_000, file="a") + END,
    "preamble": b"x" * (1 << 20) + part("prompt", b"x") + END,
    "epilogue": part("prompt", b"x") + END + b"x" * (1 << 20),
}


@pytest.mark.parametrize("kind", REFUSED)
async def test_what_is_no_form_is_refused_with_little_work(tmp_path: Path, kind: str) -> None:
    """What ten thousand of something cost would be ten thousand times its lines."""
    with (
        lines_of("heliograph.server", "python_multipart") as lines,
        pytest.raises(InvalidRequest) as caught,
    ):
        await read(tmp_path, REFUSED[kind])
    assert verdict(caught.value).status == 400
    assert lines.count < 50_000
    assert len(written(tmp_path)) <= MOST_PARTS


@pytest.mark.parametrize(
    ("kind", "most"),
    [("parts", 10_000), ("headers", 2000), ("a long header", 4000), ("preamble", 2000)],
)
async def test_a_form_without_end_is_refused_at_that_byte(
    tmp_path: Path, kind: str, most: int
) -> None:
    """S58: of what comes behind the limit, nothing is read."""
    body, taken = REFUSED[kind], 0

    async def stream() -> AsyncIterator[bytes]:
        nonlocal taken
        while taken < len(body):
            taken += 1000
            yield body[taken - 1000 : taken]

    with pytest.raises(InvalidRequest):
        await read_form(stream(), B, files=("image",), new_file=lambda: tmp_path / "a", limit=10**9)
    assert taken <= most < len(body) / 10


async def test_a_picture_is_at_most_20_mb(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await read(tmp_path, part("image", bytes(MOST_BYTES + 1), file="a") + END)
    assert sum(written(tmp_path)) <= MOST_BYTES


async def test_text_is_at_most_a_megabyte(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await read(tmp_path, part("prompt", b"x" * ((1 << 20) + 1)) + END)


async def test_the_whole_is_limited_while_it_is_read(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await read(tmp_path, part("image", bytes(5000), file="a") + END, limit=4000, piece=1000)
    assert sum(written(tmp_path)) <= 4000


@pytest.mark.parametrize(
    "header",
    [
        "",
        "; boundary=",
        "; boundary=" + "x" * (1 << 20),
        "; boundary=" + "x" * 71,
        "; boundary=a\tb",
    ],
)
def test_boundaries_that_are_none(header: str) -> None:
    with pytest.raises(InvalidRequest):
        boundary_of("multipart/form-data" + header)


def test_the_boundary_of_a_header() -> None:
    assert boundary_of('multipart/form-data; charset=utf-8; boundary="a b"') == b"a b"


@given(st.binary(max_size=400), st.integers(1, 50))
async def test_any_bytes_are_a_form_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, piece: int
) -> None:
    folder = tmp_path_factory.mktemp("form")
    outcome: Any
    try:
        outcome = await read(folder, b"--xyz\r\n" + data + b"\r\n--xyz--\r\n", piece=piece)
    except HeliographError as error:
        outcome = verdict(error).status
    assert isinstance(outcome, Form) or outcome == 400
